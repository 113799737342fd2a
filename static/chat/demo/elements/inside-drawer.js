// "Look inside": a drawer below a window's messages; on a small screen a sheet over everything. This
// module is loaded when the first of them is opened.

import { InsideFrames } from "./inside-frames.js";
import { InsideToken } from "./inside-token.js";
import { InsideTrials } from "./inside-trials.js";

const SMALL = matchMedia("(width < 700px), (height < 500px)"); // as in inside.css

const MOVES = { ArrowRight: 1, ArrowLeft: -1 };

class InsideDrawer extends HTMLElement {
  #button;
  #inside;
  #dialog;
  #tabs;
  #panels;
  #shown;

  #actions = {
    close: () => this.#dialog.close(),
    offline: () => this.#inside.setOffline(!this.#inside.isOffline),
  };

  /** `parts`: {button, inside, StickyScroll} as of inside-button.js; `owner`: whose window it is. */
  set({ uid, owner }, { button, inside, StickyScroll }) {
    this.#button = button;
    this.#inside = inside;
    this.#dialog = this.querySelector("dialog");
    this.#tabs = [...this.querySelectorAll('[role="tab"]')];
    this.#panels = new Map(this.#tabs.map((tab) => [tab, this.querySelector(tab.dataset.panel)]));
    this.querySelector("h3").textContent = `Inside ${owner}’s window`;
    for (const panel of this.#panels.values()) panel.set(inside, StickyScroll);
    this.#name(uid);
    this.#listen();
    this.#select(this.#tabs[0]);
  }

  toggle() {
    if (this.#dialog.open) this.#dialog.close();
    else {
      this.#open();
      this.#shown.focus();
    }
  }

  #name(uid) {
    this.querySelector("h3").id = `inside-title-${uid}`;
    this.#dialog.setAttribute("aria-labelledby", `inside-title-${uid}`);
    this.#dialog.id = `inside-${uid}`;
    this.#button.setAttribute("aria-controls", this.#dialog.id);
    for (const [tab, panel] of this.#panels) {
      tab.id = `${tab.dataset.panel}-tab-${uid}`;
      panel.id = `${tab.dataset.panel}-${uid}`;
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("aria-labelledby", tab.id);
    }
  }

  #listen() {
    this.addEventListener("click", ({ target }) => this.#clicked(target));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.#dialog.addEventListener("close", () => this.#closed());
    this.#inside.addEventListener("switched", () => this.#showSwitch());
    SMALL.addEventListener("change", () => this.#dialog.open && this.#reopen());
  }

  /** In the other manner, now that the page is another size. */
  #reopen() {
    const { activeElement } = document;
    this.#dialog.close();
    this.#open();
    if (this.contains(activeElement)) activeElement.focus();
  }

  #open() {
    if (SMALL.matches) this.#dialog.showModal();
    else this.#dialog.show();
    this.#button.setAttribute("aria-expanded", "true");
    this.#showSwitch();
    this.#select(this.#shown);
  }

  #closed() {
    if (this.#dialog.open) return; // again, by now
    this.#button.setAttribute("aria-expanded", "false");
    for (const panel of this.#panels.values()) panel.show(false);
    this.#button.focus();
  }

  #clicked(target) {
    const tab = target.closest('[role="tab"]');
    if (tab) this.#select(tab);
    this.#actions[target.closest("[data-action]")?.dataset.action]?.();
  }

  #key(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      this.#dialog.close();
    }
    const at = this.#tabs.indexOf(event.target);
    const tab = this.#tabs.at((at + MOVES[event.key]) % this.#tabs.length);
    if (at < 0 || !MOVES[event.key]) return;
    event.preventDefault();
    this.#select(tab);
    tab.focus();
  }

  #select(shown) {
    this.#shown = shown;
    for (const [tab, panel] of this.#panels) {
      tab.setAttribute("aria-selected", String(tab === shown));
      tab.tabIndex = tab === shown ? 0 : -1;
      panel.hidden = tab !== shown;
      panel.show(this.#dialog.open && tab === shown);
    }
  }

  #showSwitch() {
    const words = this.#inside.isOffline ? "Go online" : "Go offline";
    this.querySelector('[data-action="offline"]').textContent = words;
  }
}

// From the inside out: an element finds the ones that it holds ready.
customElements.define("inside-frames", InsideFrames);
customElements.define("inside-token", InsideToken);
customElements.define("inside-trials", InsideTrials);
customElements.define("inside-drawer", InsideDrawer);

/**
 * A drawer in that window, not open yet, once its HTML and its style sheet are there.
 * @throws {TypeError} where one of them is not to be had
 */
export async function openDrawer(window, parts) {
  const { parts: html, style } = parts.button.dataset;
  const drawer = await load(html);
  await dress(drawer, style, window);
  drawer.set({ uid: window.uid, owner: window.querySelector("h2").textContent }, parts);
  return drawer;
}

async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new TypeError(`${url}: ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return document.importNode(page.querySelector("inside-drawer"), true);
}

function dress(drawer, href, window) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  drawer.prepend(link);
  return new Promise((done, fail) => {
    link.addEventListener("load", done);
    link.addEventListener("error", () => {
      drawer.remove();
      fail(new TypeError(href));
    });
    window.append(drawer);
  });
}

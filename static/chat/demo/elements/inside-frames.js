// Every frame of a window, in and out: a line each, which opens to show the frame itself. What the
// reader reads stays where it is while others come.

import { masked } from "../model/inside-mask.js";
import { Meanings, sizeWords } from "../model/inside-words.js";

const ALL = "*";
const PINGS = new Set(["hotsock.ping", "hotsock.pong"]); // not shown unless they are asked for
const MAX_SHOWN = 8000; // UTF-16 units of one frame
const WAYS = { in: ["↓", "Received"], out: ["↑", "Sent"] };
const STATE = ["•", "Connection"];

const MOVES = {
  ArrowDown: (rows, at) => rows[at + 1],
  ArrowUp: (rows, at) => rows[at - 1],
  Home: (rows) => rows[0],
  End: (rows) => rows.at(-1),
};

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const timeWords = (time) => `${clock.format(time)}.${String(time % 1000).padStart(3, "0")}`;

export class InsideFrames extends HTMLElement {
  #inside;
  #sticky;
  #list;
  #filter;
  #meanings = new Meanings(() => this.#inside.chat?.channel);
  #rows = []; // {entry, title, text, item}, the oldest first
  #last = 0; // number of the newest entry that has a row
  #isShown = false;
  #isPaused = false;
  #isAsked = false; // to render

  set(inside, StickyScroll) {
    this.#inside = inside;
    this.#list = this.querySelector("ol");
    this.#filter = this.querySelector("form");
    this.#sticky = new StickyScroll(this.querySelector(".inside-scroller"), this.#list, {
      moved: () => {},
      near: () => {},
    });
    this.#listen();
  }

  show(isShown) {
    this.#isShown = isShown;
    if (isShown) this.#render();
  }

  #listen() {
    this.#inside.addEventListener("entry", () => this.#ask());
    this.#filter.addEventListener("input", () => this.#applyFilter());
    this.#filter.addEventListener("submit", (event) => event.preventDefault());
    this.querySelector('[data-action="pause"]').addEventListener("click", () => this.#pause());
    this.#list.addEventListener("toggle", ({ target }) => this.#unfold(target), true);
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("focusin", ({ target }) => this.#reach(target));
  }

  /** Once for all that comes until the next picture. */
  #ask() {
    if (this.#isAsked || !this.#isShown || this.#isPaused) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      if (this.#isShown && !this.#isPaused) this.#render();
    });
  }

  #render() {
    this.#sticky.keep(() => {
      this.#dropOld();
      const entries = this.#inside.entries.filter(({ number }) => number > this.#last);
      this.#list.append(...entries.map((entry) => this.#add(entry)));
    });
    this.#offerEvents();
    this.#settle();
  }

  #dropOld() {
    const first = this.#inside.entries[0]?.number ?? Infinity;
    const count = this.#rows.findIndex(({ entry }) => entry.number >= first);
    for (const { item } of this.#rows.splice(0, count < 0 ? this.#rows.length : count)) {
      if (item.contains(document.activeElement)) this.#filter.elements.text.focus();
      item.remove();
    }
  }

  #add(entry) {
    const { title, words, tone } = this.#meanings.of(entry);
    const item = this.querySelector("template").content.firstElementChild.cloneNode(true);
    const [arrow, way] = WAYS[entry.kind] ?? STATE;
    const isFrame = entry.kind in WAYS;
    const texts = { way, arrow, time: timeWords(entry.time), event: title, words };
    texts.size = isFrame ? sizeWords(entry.size) : "";
    for (const [name, text] of Object.entries(texts)) {
      item.querySelector(`.frame-${name}`).textContent = text;
    }
    Object.assign(item.dataset, { kind: entry.kind, tone });
    const text = isFrame ? masked(entry.text) : "";
    const row = { entry, title, text, item, search: `${title} ${words} ${text}`.toLowerCase() };
    this.#rows.push(row);
    this.#last = entry.number;
    item.hidden = !this.#matches(row);
    return item;
  }

  #matches({ entry: { kind }, title, search }) {
    const { direction, event, text } = this.#filter.elements;
    if (direction.value && kind !== direction.value) return false;
    const isAny = event.value === ALL || (event.value === "" && !PINGS.has(title));
    return (isAny || event.value === title) && search.includes(text.value.trim().toLowerCase());
  }

  #applyFilter() {
    this.#sticky.keep(() => {
      for (const row of this.#rows) row.item.hidden = !this.#matches(row);
    });
    this.#settle();
  }

  /** The events that there are now; the chosen one stays. */
  #offerEvents() {
    const { event } = this.#filter.elements;
    const known = new Set([...this.#rows.map(({ title }) => title), event.value].toSorted());
    for (const each of ["", ALL]) known.delete(each);
    const offered = [...event.options].slice(2);
    if (offered.map(({ value }) => value).join() === [...known].join()) return;
    const chosen = event.value;
    for (const option of offered) option.remove();
    event.append(...Array.from(known, (name) => new Option(name, name)));
    event.value = chosen;
  }

  #pause() {
    this.#isPaused = !this.#isPaused;
    this.querySelector('[data-action="pause"]').setAttribute("aria-pressed", String(this.#isPaused));
    if (!this.#isPaused) this.#render();
  }

  /** How many are shown, and that one of them is reached by Tab. */
  #settle() {
    const shown = this.#summaries();
    const words = `${shown.length} of ${this.#rows.length} lines; the newest 500 are kept.`;
    this.querySelector(".inside-count").textContent = words;
    if (!shown.some(({ tabIndex }) => tabIndex === 0)) this.#reach(shown.at(-1));
  }

  #summaries() {
    return [...this.#list.querySelectorAll(":scope > :not([hidden]) summary")];
  }

  #reach(summary) {
    if (summary?.localName !== "summary") return;
    for (const each of this.#list.querySelectorAll('summary[tabindex="0"]')) each.tabIndex = -1;
    summary.tabIndex = 0;
  }

  #key(event) {
    const summaries = this.#summaries();
    const next = MOVES[event.key]?.(summaries, summaries.indexOf(event.target));
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  #unfold(details) {
    const row = this.#rows.find(({ item }) => item.contains(details));
    if (!row || !details.open) return;
    const rest = row.text.length - MAX_SHOWN;
    const more = rest > 0 ? `\n… and ${rest.toLocaleString()} characters more` : "";
    details.querySelector("pre").textContent = (row.text.slice(0, MAX_SHOWN) || "No frame.") + more;
    details.scrollIntoView({ block: "nearest" });
  }
}

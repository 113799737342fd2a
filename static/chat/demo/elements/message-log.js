// The messages of one conversation, those that wait below them, and the reactions to pick from.
// Shows what has changed once a frame, however much that is. Event: "react" (detail: {entry,
// reaction}).

import { activeOf } from "../model/reactions.js";
import { MessageFocus } from "./message-focus.js";
import { MessageList } from "./message-list.js";
import { renderPending } from "./pending-list.js";
import { StickyScroll } from "./sticky-scroll.js";

export class MessageLog extends HTMLElement {
  #conversation = null;
  #uid;
  #list;
  #scroll;
  #focus;
  #picker;
  #added = [];
  #reacted = new Set();
  #isScheduled = false;

  connectedCallback() {
    this.#list = new MessageList(this.querySelector(".messages"));
    this.#scroll = new StickyScroll(this.querySelector(".scroller"), this.querySelector(".newer"));
    this.#picker = this.querySelector("reaction-picker");
    this.#focus = new MessageFocus(this.querySelector(".content"), {
      show: (item) => this.#showPicker(item),
      hide: () => this.#picker.hide(),
    });
    this.#picker.addEventListener("pick", ({ detail }) => this.#picked(detail));
    this.querySelector(".content").addEventListener("click", ({ target }) => this.#clicked(target));
    new ResizeObserver(() => this.#keepPicker()).observe(this);
  }

  open(conversation, uid) {
    this.close();
    this.#conversation = conversation;
    this.#uid = uid;
    this.#list.own = uid;
    const on = (type, act) =>
      conversation.addEventListener(type, ({ detail }) => {
        act(detail);
        this.#schedule();
      });
    on("entries", ({ added }) => this.#added.push(...added));
    on("reactions", (entry) => this.#reacted.add(entry));
    on("outbox", () => {});
    on("history", () => {});
    this.#schedule();
  }

  close() {
    this.#conversation = null;
    this.#added = [];
    this.#reacted.clear();
    this.#picker.hide();
    this.#list.clear();
    renderPending(this.querySelector(".pending"), []);
    this.#showPlaceholder("loading");
    this.#setBusy(true);
  }

  /** Whoever sends wants to see it. */
  toEnd() {
    this.#scroll.stick();
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      if (this.#conversation) this.#render();
    });
  }

  #render() {
    const { timeline, sending, history, wasReady } = this.#conversation;
    const isEmpty = !timeline.entries.length && !sending.outbox.items.length;
    this.#list.insert(this.#added, timeline.entries);
    for (const entry of this.#reacted) this.#list.update(entry);
    renderPending(this.querySelector(".pending"), sending.outbox.items);
    this.#showPlaceholder(placeholderFor({ history, wasReady, isEmpty }));
    this.#setBusy(history === "loading");
    this.#scroll.settle(this.#added.filter(({ uid }) => uid !== this.#uid).length);
    this.#focus.settle();
    this.#keepPicker();
    this.#added = [];
    this.#reacted.clear();
  }

  #showPlaceholder(state) {
    for (const each of this.querySelectorAll(".placeholder")) {
      each.hidden = each.dataset.state !== state;
    }
  }

  /** While it reads history, a screen reader need not read it all out. */
  #setBusy(isBusy) {
    this.querySelector(".log").setAttribute("aria-busy", String(isBusy));
  }

  #showPicker(item) {
    const entry = this.#list.entryOf(item);
    this.#picker.show(item, activeOf(entry, this.#uid), this.querySelector(".scroller"));
  }

  /** Its message may have moved: beside another one it would offer reactions to the wrong one. */
  #keepPicker() {
    if (this.#picker.item) this.#showPicker(this.#picker.item);
  }

  #picked({ item, reaction }) {
    this.#react(item, reaction);
    this.#focus.dismiss();
  }

  #clicked(target) {
    const chip = target.closest(".chip");
    if (chip) this.#react(chip.closest(".message"), chip.dataset.reaction);
    const button = target.closest(".pending [data-action]");
    if (button) this.#decide(button);
  }

  #react(item, reaction) {
    const detail = { entry: this.#list.entryOf(item), reaction };
    this.dispatchEvent(new CustomEvent("react", { detail }));
  }

  #decide({ dataset: { action, key } }) {
    const { sending } = this.#conversation;
    if (action === "again") sending.again(Number(key));
    if (action === "drop") sending.outbox.drop(Number(key));
  }
}

/** What stands above the messages, or in their place. */
function placeholderFor({ history, wasReady, isEmpty }) {
  if (history === "failed") return "failed";
  if (history === "loading" && (isEmpty || !wasReady)) return "loading";
  return isEmpty ? "empty" : null;
}

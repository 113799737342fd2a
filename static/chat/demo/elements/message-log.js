// The messages of one conversation, those that wait behind them, and the reactions to pick from.
// Shows what has changed at most once a frame, however much that is. Events: "react" (detail:
// {entry, reaction}), "unread" (detail: how many messages the reader has not seen),
// "left" (the button that had the focus has done its work and is gone).

import { Unread } from "../model/unread.js";
import { MessageList } from "./message-list.js";
import { nextWords, rowsOf } from "../model/rows.js";
import { MOST } from "../model/timeline.js";
import { MessageFocus } from "./message-focus.js";
import { activeOf } from "../model/reactions.js";
import { StickyScroll } from "./sticky-scroll.js";
import { fitBubbles } from "./bubble-width.js";

const FRAME_MS = 16;
const FORWARD = new Set(["newer", "newest", "again"]); // what the reader reads towards the end

export class MessageLog extends HTMLElement {
  #conversation = null;
  #uid;
  #list;
  #scroll;
  #focus;
  #picker;
  #unread = new Unread();
  #isScheduled = false;
  #isBusy = true;
  #renderedAt = 0;
  #wordsTimer;
  #left = new AbortController(); // the page

  connectedCallback() {
    const list = this.querySelector(".messages");
    this.#list = new MessageList(list);
    fitBubbles(list);
    this.#scroll = new StickyScroll(this.querySelector(".scroller"), list, {
      moved: () => this.#moved(),
      near: (edge) => this.#conversation?.reader[edge](),
    });
    this.#picker = this.querySelector("reaction-picker");
    this.#focus = new MessageFocus(this.querySelector(".content"), {
      show: (item) => this.#showPicker(item),
      hide: () => this.#picker.hide(),
      end: () => this.toEnd(),
    });
    this.#picker.addEventListener("pick", ({ detail }) => this.#picked(detail));
    this.querySelector(".content").addEventListener("click", ({ target }) => this.#clicked(target));
    this.querySelector(".newer").addEventListener("click", (event) => this.#goToEnd(event));
    const { signal } = this.#left;
    document.addEventListener("visibilitychange", () => this.#moved(), { signal });
    new ResizeObserver(() => this.#keepPicker()).observe(this);
  }

  disconnectedCallback() {
    this.#left.abort();
  }

  open(conversation, uid) {
    this.close();
    this.#conversation = conversation;
    this.#uid = uid;
    this.#list.own = uid;
    conversation.addEventListener("changed", () => this.#schedule());
    conversation.addEventListener("arrived", ({ detail }) => this.#arrived(detail));
    this.#scroll.stick();
    this.#schedule();
  }

  close() {
    this.#conversation = null;
    clearTimeout(this.#wordsTimer);
    this.#unread.forget();
    this.#tellUnread();
    this.#picker.hide();
    this.#list.clear();
    for (const each of this.querySelectorAll(".edge")) each.hidden = true;
    this.#showPlaceholder("loading");
    this.#setBusy(true);
  }

  /** Shows the newest messages: whoever sends wants to see it. */
  toEnd() {
    this.#scroll.stick();
    this.#moved();
  }

  /** Something so many px high stands above the messages now. */
  pushDown(height) {
    this.toggleAttribute("data-pushed", height > 0);
    this.style.setProperty("--pushed", `${height}px`);
    if (this.#scroll.isStuck) this.#scroll.stick();
  }

  /** A finger has no focus to lose, and would get a keyboard. */
  #goToEnd({ pointerType }) {
    this.toEnd();
    if (pointerType !== "touch") this.#tell("left");
  }

  /** At once, but for what follows within the same frame. */
  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const isFirst = performance.now() - this.#renderedAt > FRAME_MS;
    (isFirst ? queueMicrotask : requestAnimationFrame)(() => {
      this.#isScheduled = false;
      if (this.#conversation) this.#render();
    });
  }

  #render() {
    const { timeline, sending, reader } = this.#conversation;
    this.#renderedAt = performance.now();
    this.#scroll.hasStart = !timeline.hasOlder;
    this.#scroll.hasEnd = !timeline.hasNewer;
    this.#scroll.keep(() => this.#renderContent());
    this.#focus.settle();
    this.#keepPicker();
    this.#moved();
    this.#planWords(sending.outbox.items);
    if (timeline.entries.length >= MOST) requestAnimationFrame(() => this.#makeRoom());
    if (this.#scroll.isShort && timeline.entries.length < MOST && !reader.failed) reader.older();
  }

  /** In a frame of its own: what only goes away moves nothing. */
  #makeRoom() {
    if (this.#isScheduled || !this.#conversation?.timeline.makeRoom()) return;
    this.#scroll.keep(() => this.#renderContent(), true);
  }

  #renderContent() {
    const { timeline, sending, history, wasReady, reader } = this.#conversation;
    const rows = rowsOf({
      entries: timeline.entries,
      waiting: timeline.hasNewer ? [] : sending.outbox.items,
      own: this.#uid,
      unreadId: this.#unread.firstId,
      now: Date.now(),
    });
    this.#list.render(rows, this.#focus.held);
    this.#showPlaceholder(placeholderFor({ history, wasReady, isEmpty: !rows.length }));
    this.#showEdge("older", wasReady && timeline.hasOlder, reader.failed === "older");
    const hasFailed = FORWARD.has(reader.failed) || history === "failed";
    this.#showEdge("newer", timeline.hasNewer || (wasReady && hasFailed), hasFailed);
    this.#setBusy(history === "loading" || reader.reading !== null);
  }

  #showPlaceholder(state) {
    for (const each of this.querySelectorAll(".placeholder")) {
      each.hidden = each.dataset.state !== state;
    }
  }

  /** What stands where there is more to be read. */
  #showEdge(name, isThere, hasFailed) {
    const edge = this.querySelector(`.edge[data-edge="${name}"]`);
    edge.hidden = !isThere;
    edge.querySelector(".edge-loading").hidden = hasFailed;
    edge.querySelector(".edge-failed").hidden = !hasFailed;
  }

  /**
   * While it reads history, and in the frame that shows it: a screen reader need not read all of
   * that out.
   */
  #setBusy(isBusy) {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    const set = () => this.querySelector(".log").setAttribute("aria-busy", String(this.#isBusy));
    if (isBusy) set();
    else afterFrame(set);
  }

  /** Words about what waits are due after a while. */
  #planWords(items) {
    clearTimeout(this.#wordsTimer);
    const due = nextWords(items, Date.now());
    if (due < Infinity) this.#wordsTimer = setTimeout(() => this.#schedule(), due - Date.now());
  }

  /** The reader looks elsewhere, or there is something else to look at. */
  #moved() {
    const { isStuck } = this.#scroll;
    if (this.#conversation?.timeline.followsEnd !== isStuck) this.#conversation?.followEnd(isStuck);
    if (this.#isSeen) this.#unread.read();
    this.#tellUnread();
    this.#showButton();
  }

  /** Whether what arrives now is in the reader's sight. */
  get #isSeen() {
    const { isStuck, isVisible } = this.#scroll;
    return isStuck && isVisible && !document.hidden;
  }

  #arrived(message) {
    if (message.uid === this.#uid) return this.#unread.forget();
    this.#unread.arrived(message.id, this.#isSeen);
    this.#tellUnread();
  }

  #tellUnread() {
    const { count } = this.#unread;
    if (this.dataset.unread === String(count)) return;
    this.dataset.unread = count;
    this.#tell("unread", count);
  }

  #showButton() {
    const { count } = this.#unread;
    const button = this.querySelector(".newer");
    button.hidden = this.#scroll.isStuck;
    const words = count === 1 ? "1 new message" : `${count} new messages`;
    button.querySelector("span").textContent = count ? words : "To the end";
  }

  #showPicker(item) {
    const entry = this.#list.entryOf(item);
    if (!entry.id) return this.#picker.hide();
    this.#picker.show(item, activeOf(entry, this.#uid), this.querySelector(".scroller"));
  }

  /** Its message may have moved, or gone: elsewhere it would offer reactions to the wrong one. */
  #keepPicker() {
    const { item } = this.#picker;
    if (item?.isConnected) this.#showPicker(item);
    else if (item) this.#focus.dismiss();
  }

  #picked({ item, reaction }) {
    this.#react(item, reaction);
    this.#focus.dismiss();
  }

  #clicked(target) {
    const chip = target.closest(".chip");
    if (chip) this.#react(chip.closest(".message"), chip.dataset.reaction);
    const button = target.closest(".fate [data-action]");
    if (button) this.#decide(button);
  }

  #react(item, reaction) {
    this.#tell("react", { entry: this.#list.entryOf(item), reaction });
  }

  #decide({ dataset: { action, key } }) {
    const { sending } = this.#conversation;
    if (action === "again") sending.again(Number(key));
    if (action === "drop") sending.outbox.drop(Number(key));
    this.#tell("left");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true }));
  }
}

/** Once what was done until now has been shown. */
function afterFrame(act) {
  requestAnimationFrame(() => requestAnimationFrame(act));
}

/** What stands above the messages, or in their place. */
function placeholderFor({ history, wasReady, isEmpty }) {
  if (history === "failed" && !wasReady) return "failed";
  if (history === "loading" && (isEmpty || !wasReady)) return "loading";
  return isEmpty ? "empty" : null;
}

// Which message the reader is at, by pointer, finger or keyboard: there the reactions are offered.
// One message at a time is in the tab order, the arrow keys go to the others.

import { focusNear } from "./focus-near.js";

const HOVER_MS = 100; // a pointer that only passes by opens nothing
const LONG_PRESS_MS = 450;

// Where a key leads, among the messages that are here.
const KEYS = {
  ArrowUp: (items, index) => items[index - 1],
  ArrowDown: (items, index) => items[index + 1],
  Home: (items) => items[0],
  End: (items) => items.at(-1),
};

export class MessageFocus {
  #content;
  #on;
  #list;
  #current = null; // the message in the tab order
  #offered = null; // the one whose reactions are open
  #dismissed = null; // the one whose reactions stay closed until the reader comes back to it
  #restsAt = ""; // where the pointer was then: what moves under it is no wish
  #pressed = null; // the one whose reactions were open when a finger came down
  #timer;

  /** `on`: {show(item), hide(), end()}: `end` shows the newest messages. */
  constructor(content, on) {
    this.#content = content;
    this.#on = on;
    this.#list = content.querySelector(".messages");
    const listen = (type, act) => content.addEventListener(type, act);
    listen("pointerover", (event) => this.#over(event));
    listen("pointerleave", () => this.#leave());
    listen("pointerdown", (event) => this.#press(event));
    for (const type of ["pointerup", "pointercancel"]) listen(type, () => this.#wait(null));
    listen("focusin", ({ target }) => this.#focused(target));
    listen("focusout", ({ relatedTarget }) => this.#blurred(relatedTarget));
    listen("click", (event) => this.#clicked(event));
    listen("keydown", (event) => this.#key(event));
  }

  /** The message that has the focus, or whose reactions have it. */
  get held() {
    const focused = focusNear(this.#content);
    if (this.#picker.contains(focused)) return this.#offered;
    return this.#content.contains(focused) ? this.#itemOf(focused) : null;
  }

  /** The list changed. Whoever comes by Tab comes to the last message. */
  settle() {
    if (!this.#holdsFocus) this.#makeCurrent(this.#items.at(-1));
  }

  /** The reader is done with the reactions that are open. */
  dismiss() {
    this.#dismissed = this.#offered;
    if (this.#picker.contains(focusNear(this.#content))) this.#offered?.focus();
    this.#hide();
  }

  get #items() {
    return [...this.#list.querySelectorAll(":scope > .message")];
  }

  get #picker() {
    return this.#content.querySelector("reaction-picker");
  }

  #over(event) {
    const { target, pointerType } = event;
    if (pointerType !== "mouse" || placeOf(event) === this.#restsAt) return;
    if (this.#picker.contains(target)) return this.#wait(null);
    const item = this.#itemOf(target);
    if (item !== this.#dismissed || target.closest(".bubble")) this.#dismissed = null;
    this.#wait(() => (item ? this.#offer(item) : this.#hide()), HOVER_MS);
  }

  #leave() {
    this.#dismissed = null;
    this.#wait(null);
    if (!this.#holdsFocus) this.#hide();
  }

  #press({ target, pointerType }) {
    this.#pressed = pointerType === "touch" ? this.#offered : null;
    const item = pointerType === "touch" && this.#itemOf(target);
    if (item) this.#wait(() => item.focus(), LONG_PRESS_MS);
  }

  #focused(target) {
    const item = this.#itemOf(target);
    if (item) this.#makeCurrent(item);
    if (item && target === item) this.#offer(item);
  }

  #blurred(next) {
    if (next && this.#content.contains(next)) return;
    this.#dismissed = null;
    this.#hide();
  }

  #clicked(event) {
    this.#restsAt = placeOf(event);
    const item = this.#itemOf(event.target);
    if (!item || event.target.closest("button, a")) return;
    if (item === this.#pressed) return this.dismiss();
    this.#dismissed = null;
    this.#offer(item);
  }

  #key(event) {
    const item = this.#itemOf(event.target);
    if (item && event.key === "End") this.#on.end();
    const items = this.#items;
    const next = item && KEYS[event.key]?.(items, items.indexOf(item));
    if (event.key === "Escape") this.dismiss();
    else if (event.key === "Enter" && event.target === item) this.#enterPicker(item);
    else if (next) next.focus();
    else return;
    event.preventDefault();
  }

  #enterPicker(item) {
    this.#dismissed = null;
    this.#offer(item);
    this.#picker.querySelector("button").focus();
  }

  #offer(item) {
    if (item === this.#dismissed) return;
    this.#offered = item;
    this.#on.show(item);
  }

  #hide() {
    this.#offered = null;
    this.#on.hide();
  }

  #makeCurrent(item) {
    this.#setTabIndex(this.#current, -1);
    this.#current = item;
    this.#setTabIndex(item, 0);
  }

  #setTabIndex(item, tabIndex) {
    for (const each of item ? [item, ...item.querySelectorAll(".chip")] : []) {
      each.tabIndex = tabIndex;
    }
  }

  get #holdsFocus() {
    return this.#content.contains(focusNear(this.#content));
  }

  #itemOf(target) {
    return target.closest(".messages > .message");
  }

  #wait(act, milliseconds) {
    clearTimeout(this.#timer);
    if (act) this.#timer = setTimeout(act, milliseconds);
  }
}

const placeOf = ({ clientX, clientY }) => `${clientX} ${clientY}`;

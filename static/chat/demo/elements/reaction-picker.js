// The pill of four reactions beside a message. Event: "pick" (detail: {item, reaction}).

import { focusNear } from "./focus-near.js";

const GAP = 8; // px
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

export class ReactionPicker extends HTMLElement {
  #item = null;

  connectedCallback() {
    this.addEventListener("click", ({ target }) => this.#pick(target.closest("button")));
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `active`: the reactions that the person has on this message already. */
  show(item, active, scroller) {
    this.#item = item;
    for (const button of this.#buttons) {
      button.setAttribute("aria-pressed", String(active.has(button.dataset.reaction)));
    }
    this.hidden = false;
    this.#place(item, scroller.getBoundingClientRect());
  }

  /** The message that it is open beside; null while it is hidden. */
  get item() {
    return this.#item;
  }

  hide() {
    this.hidden = true;
    this.#item = null;
  }

  get #buttons() {
    return [...this.querySelectorAll("button")];
  }

  #pick(button) {
    if (!button || !this.#item) return;
    const detail = { item: this.#item, reaction: button.dataset.reaction };
    this.dispatchEvent(new CustomEvent("pick", { detail }));
  }

  #key(event) {
    const buttons = this.#buttons;
    const to = buttons.indexOf(focusNear(this)) + STEPS[event.key];
    if (!buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }

  /** Beside the bubble and its time; beside a tall one as a column; else above it, else below. */
  #place(item, view) {
    const at = seenPart(item.querySelector(".bubble").getBoundingClientRect(), view);
    const isOwn = item.classList.contains("own");
    this.classList.remove("column");
    const { offsetWidth: long, offsetHeight: short } = this; // as it is after its animation
    const free = isOwn ? at.left - view.left : view.right - at.right;
    const far = GAP + widthOfTime(item);
    const isBeside = free >= far + long + GAP;
    const isColumn = !isBeside && at.bottom - at.top >= long;
    this.classList.toggle("column", isColumn);
    const [width, height] = isColumn ? [short, long] : [long, short];
    const gap = isColumn ? GAP : far;
    const beside = isOwn ? at.left - gap - width : at.right + gap;
    const aligned = isOwn ? at.right - width : at.left;
    const above = at.top - height - GAP / 2;
    const stacked = above >= view.top ? above : at.bottom + GAP / 2;
    if (isBeside || isColumn) this.#put(beside, (at.top + at.bottom - height) / 2, view);
    else this.#put(aligned, stacked, view);
  }

  /** Never out of sight. */
  #put(left, top, view) {
    const origin = this.offsetParent.getBoundingClientRect();
    const x = between(view.left, left, view.right - this.offsetWidth);
    const y = between(view.top, top, view.bottom - this.offsetHeight);
    this.style.translate = `${x - origin.left}px ${y - origin.top}px`; // no layout shift
  }
}

const between = (least, value, most) => Math.max(least, Math.min(value, most));

/** A long message may begin above what is seen and end below it. */
function seenPart({ left, right, top, bottom }, view) {
  return { left, right, top: Math.max(top, view.top), bottom: Math.min(bottom, view.bottom) };
}

function widthOfTime(item) {
  const time = item.querySelector(".when");
  return time ? time.offsetWidth + GAP : 0;
}

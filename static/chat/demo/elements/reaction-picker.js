// The pill of four reactions beside a message. Event: "pick" (detail: {item, reaction}).

const GAP = 8; // px
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

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
    this.#place(item.querySelector(".bubble"), item.classList.contains("own"), scroller);
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
    const to = buttons.indexOf(document.activeElement) + STEPS[event.key];
    if (!buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }

  /** Beside the bubble where there is room, else above it, else below; never out of sight. */
  #place(bubble, isOwn, scroller) {
    const at = bubble.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this; // as it is after its animation
    const origin = this.offsetParent.getBoundingClientRect();
    const beside = isOwn ? at.left - GAP - width : at.right + GAP;
    const aligned = isOwn ? at.right - width : at.left;
    const above = at.top - height - GAP / 2;
    const stacked = above >= view.top ? above : at.bottom + GAP / 2;
    const fits = beside >= view.left + GAP && beside + width <= view.right - GAP;
    const top = fits ? at.top + (at.height - height) / 2 : stacked;
    this.style.left = `${(fits ? beside : aligned) - origin.left}px`;
    this.style.top = `${Math.max(view.top, Math.min(top, view.bottom - height)) - origin.top}px`;
  }
}

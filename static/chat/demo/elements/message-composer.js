// Where a person writes. What stands in it is kept through a reload; what cannot be sent stays.
// Events: "send" (detail: the text; prevented: it stays), "typed" (detail: what stands there now).

import { readMessage } from "../model/text.js";

const TOUCH = matchMedia("(pointer: coarse)"); // there Return makes a new line, the button sends
const IME_KEY = 229; // the keyCode of a key that belongs to an input method's composition

export class MessageComposer extends HTMLElement {
  #kept;
  #area;
  #problem;

  connectedCallback() {
    this.#area = this.querySelector("textarea");
    this.#problem = this.querySelector(".problem");
    this.#area.enterKeyHint = TOUCH.matches ? "enter" : "send";
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#area.addEventListener("input", (event) => this.#input(event));
    this.querySelector("form").addEventListener("submit", (event) => this.#submit(event));
  }

  /** @param {import("../model/storage.js").Kept} kept holds the draft */
  open(kept) {
    this.#kept = kept;
    this.#area.disabled = this.querySelector(".send").disabled = false;
    this.#put(kept.read(""));
  }

  /** What stands here stays, and is kept there from now on. */
  moveTo(kept) {
    this.#kept.write("");
    this.#kept = kept;
    this.#changed();
  }

  focus() {
    this.#area.focus();
  }

  /** Why it cannot be sent, in words; "" where it can. */
  say(problem) {
    this.#problem.textContent = problem;
    this.#area.setAttribute("aria-invalid", String(problem !== ""));
  }

  #put(text) {
    this.#area.value = text;
    this.#changed();
  }

  #changed() {
    this.#kept.write(this.#area.value);
    this.say("");
    this.toggleAttribute("data-filled", this.#area.value.trim() !== "");
    fitHeight(this.#area);
  }

  #key(event) {
    const composes = event.isComposing || event.keyCode === IME_KEY;
    const isLine = event.shiftKey || (TOUCH.matches && !event.ctrlKey && !event.metaKey);
    if (event.key !== "Enter" || isLine || composes) return;
    event.preventDefault();
    this.#send();
  }

  #input({ inputType }) {
    this.#changed();
    if (inputType !== "insertLineBreak") this.#tell("typed", this.#area.value);
  }

  #submit(event) {
    event.preventDefault();
    this.#send();
    this.#area.focus();
  }

  #send() {
    const { text, problem } = readMessage(this.#area.value);
    if (problem) return this.say(problem);
    if (!text) return;
    if (this.#tell("send", text)) this.#put("");
  }

  #tell(type, detail) {
    return this.dispatchEvent(new CustomEvent(type, { detail, cancelable: true }));
  }
}

/** For browsers that do not know `field-sizing`, the style sheet's own means. */
function fitHeight(area) {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

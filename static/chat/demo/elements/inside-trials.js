// "Try what the token forbids": sends one frame that the server has to refuse, and shows the
// refusal beside it. One at a time and at most one a second: nobody takes that for abuse.

import { parse } from "../model/inside-mask.js";
import { TRIALS, verdict } from "../model/inside-trials.js";

const EVERY = 1000; // ms

export class InsideTrials extends HTMLElement {
  #inside;
  #asked = null; // what waits for an answer: {event, channel, ack, answer}
  #isResting = false;

  set(inside) {
    this.#inside = inside;
    this.querySelector("ul").append(...TRIALS.map((trial) => this.#itemOf(trial)));
    inside.addEventListener("entry", () => this.#heard(inside.entries.at(-1)));
  }

  show() {}

  #itemOf(trial) {
    const item = this.querySelector("template").content.firstElementChild.cloneNode(true);
    const button = item.querySelector("button");
    item.querySelector(".trial-name").textContent = trial.name;
    item.querySelector(".trial-why").textContent = trial.why;
    button.setAttribute("aria-label", `Send it: ${trial.name}`);
    button.addEventListener("click", () => this.#try(trial, item.querySelector(".trial-answer")));
    return item;
  }

  #try(trial, answer) {
    if (this.#asked || this.#isResting) return;
    if (!this.#inside.isLive) return say(answer, "This window is not connected.");
    const frame = trial.frame(this.#inside.chat);
    if (!frame) return say(answer, "There is no message yet.");
    say(answer, "Sent; no answer yet.");
    this.#asked = { ...frame, answer, ack: this.#inside.try(frame) };
    this.#show(true);
  }

  #heard({ kind, text }) {
    if (!this.#asked) return;
    if (kind === "closed") this.#end("The connection ended before an answer came.");
    const words = kind === "in" ? verdict(this.#asked, parse(text)) : null;
    if (words) this.#end(words);
  }

  #end(words) {
    say(this.#asked.answer, words);
    this.#asked = null;
    this.#isResting = true;
    setTimeout(() => {
      this.#isResting = false;
      this.#show(false);
    }, EVERY);
  }

  /** Not `disabled`: the focus stays on the button. */
  #show(isBusy) {
    for (const button of this.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(isBusy));
    }
  }
}

function say(answer, words) {
  answer.textContent = words;
}

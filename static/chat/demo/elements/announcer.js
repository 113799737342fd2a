// Says to a screen reader what happens in a window: politely, and what comes often only now and then.

const MENTION_EVERY = 20_000; // ms

export class Announcer {
  #element;
  #name;
  #mentioned = -Infinity;

  /** `element` is a live region; `name` says whose window speaks. */
  constructor(element, name) {
    this.#element = element;
    this.#name = name;
  }

  say(words) {
    this.#element.textContent = `${this.#name}: ${words}`;
  }

  /** What is worth a word, but not each time. */
  mention(words) {
    if (performance.now() - this.#mentioned < MENTION_EVERY) return;
    this.#mentioned = performance.now();
    this.say(words);
  }
}

// Who is typing, both ways: when to tell the others, and for how long to believe them. Nothing of it
// is stored, acknowledged or sent later; it ends by itself.

import { call } from "./callback.js";
import { isObject } from "./frames.js";

export const TYPING = "is-typing"; // the event, where the application names no other
const TELL_EVERY_MS = 1500;
const SHOW_FOR_MS = 2000; // longer, so that there is no gap
const MAX_PEOPLE = 50; // whoever types beyond that is not listed

/** Lets through at most one call each 1.5 s, for each event. */
export class TypingSignal {
  #last = new Map();

  isDue(event) {
    const now = Date.now();
    if (Math.abs(now - (this.#last.get(event) ?? -Infinity)) < TELL_EVERY_MS) return false;
    this.#last.set(event, now);
    return true;
  }
}

/** Who is typing; each for 2 s after their last sign of it, or until their message. */
export class TypingPeople {
  #timers = new Map();
  #changed;

  /** @param {function(string[]): void} changed told the new list: uids in order of beginning */
  constructor(changed) {
    this.#changed = changed;
  }

  add(uid) {
    const isNew = !this.#timers.has(uid);
    if (isNew && this.#timers.size === MAX_PEOPLE) return;
    clearTimeout(this.#timers.get(uid));
    this.#timers.set(uid, setTimeout(() => this.remove(uid), SHOW_FOR_MS));
    if (isNew) this.#tell();
  }

  remove(uid) {
    clearTimeout(this.#timers.get(uid));
    if (this.#timers.delete(uid)) this.#tell();
  }

  /** Tells nothing more. */
  stop() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #tell() {
    this.#changed([...this.#timers.keys()]);
  }
}

/**
 * Tells who of the others types in a channel, as it changes.
 * @param {import("./channel.js").Channel} channel
 * @param {string} event
 * @param {function(string[]): void} callback
 * @param {function(unknown): void} failed with what the callback threw
 * @returns {function(): void} ends it
 */
export function watchTyping(channel, event, callback, failed) {
  const people = new TypingPeople((uids) => call(callback, uids, failed));
  const binding = channel.bind(/^(?!hotsock\.)/, ({ event: heard, meta }) => {
    const uid = isObject(meta) ? meta.uid : null;
    if (typeof uid !== "string" || uid === channel.uid) return;
    if (heard === event) people.add(uid);
    else people.remove(uid);
  });
  return () => {
    binding.unbind();
    people.stop();
  };
}

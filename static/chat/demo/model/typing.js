// Typing, both ways: when to tell the others, and for how long to show that they do. No DOM.
// Times are milliseconds.

export const TELL_EVERY = 1500;
export const SHOW_FOR = 2000;

/** Lets through at most one call each TELL_EVERY. */
export class TypingSignal {
  #last = -Infinity;
  #now;

  constructor(now = Date.now) {
    this.#now = now;
  }

  /** Whether to tell now. `text` is what stands in the composer: emptied, it tells nothing. */
  due(text) {
    const now = this.#now();
    if (!text.trim() || now - this.#last < TELL_EVERY) return false;
    this.#last = now;
    return true;
  }
}

/** Who is typing; each for SHOW_FOR after their last sign of it, or until their message. */
export class TypingPeople {
  #timers = new Map();
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  get uids() {
    return [...this.#timers.keys()];
  }

  add(uid) {
    clearTimeout(this.#timers.get(uid));
    this.#timers.set(uid, setTimeout(() => this.remove(uid), SHOW_FOR));
    this.#changed();
  }

  remove(uid) {
    if (!this.#timers.has(uid)) return;
    clearTimeout(this.#timers.get(uid));
    this.#timers.delete(uid);
    this.#changed();
  }

  clear() {
    for (const uid of this.uids) this.remove(uid);
  }
}

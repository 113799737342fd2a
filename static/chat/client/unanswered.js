// What was sent and not answered yet, in the order of sending. What may go out again is bounded: of
// what comes beyond, only the promise is kept.

const MAX_AGAIN = 200; // see MAX_WAITING in outbox.js
const MAX_BYTES = 4 * 1024 * 1024;

export class Unanswered {
  #entries = new Set();
  #bytes = 0; // of those that may go out again

  /** @param {import("./outbox.js").Message} entry beyond the bound, its `retry` becomes false */
  add(entry) {
    const bytes = this.#bytes + sizeOf(entry);
    if (this.#entries.size >= MAX_AGAIN || bytes > MAX_BYTES) entry.retry = false;
    if (entry.retry) this.#bytes = bytes;
    else entry.text = "";
    this.#entries.add(entry);
  }

  /** @returns {import("./outbox.js").Message | undefined} the first one with that `ack` */
  find(ack) {
    for (const entry of this.#entries) if (entry.ack === ack) return entry;
  }

  delete(entry) {
    if (this.#entries.delete(entry)) this.#bytes -= sizeOf(entry);
  }

  /** @returns {import("./outbox.js").Message[]} */
  all() {
    return [...this.#entries];
  }
}

/** @returns {number} bytes in memory, at most: up to two for a character */
export function sizeOf({ text }) {
  return 2 * text.length;
}

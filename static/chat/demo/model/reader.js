// Brings stretches of history into the timeline, one at a time, as the reader goes up and down.

import { ClientError } from "../../client/errors.js";
import { MOST } from "./timeline.js";

export const PAGE = 50;

// What to ask for, where it goes, and what must still be as it was when it was asked for.
const STRETCHES = {
  older: {
    ask: ({ firstId }) => ({ before: firstId, limit: PAGE }),
    put: (timeline, page, isFull) => timeline.addOlder(page.toReversed(), isFull),
    edge: ({ firstId }) => firstId,
  },
  newer: {
    ask: ({ lastId }) => ({ after: lastId, limit: PAGE }),
    put: (timeline, page, isFull) => timeline.addNewer(page, isFull),
    edge: ({ lastId }) => lastId,
  },
  newest: {
    ask: () => ({ limit: PAGE }),
    put: (timeline, page, isFull) => timeline.replace(page.toReversed(), isFull, false),
    edge: () => null,
  },
  // All that is here but the first: after a time of which nothing but history knows.
  again: {
    ask: ({ firstId }) => ({ after: firstId, limit: MOST }),
    put: (timeline, page, isFull) => timeline.replace(page, true, isFull),
    edge: () => null,
  },
};

export class Reader {
  /** Which stretch is being read; null: none. */
  reading = null;
  /** Which could not be read; null once it could. */
  failed = null;
  #history;
  #timeline;
  #changed;
  #run = new AbortController();

  /**
   * @param {object} parts
   * @param {function(object): AsyncIterable<object>} parts.history as channel.history
   * @param {import("./timeline.js").Timeline} parts.timeline
   * @param {function(): void} parts.changed told when anything here, or the timeline, has changed
   */
  constructor({ history, timeline, changed }) {
    this.#history = history;
    this.#timeline = timeline;
    this.#changed = changed;
  }

  older() {
    if (!this.reading && this.#timeline.hasOlder) this.#read("older");
  }

  newer() {
    if (!this.reading && this.#timeline.hasNewer) this.#read("newer");
  }

  /** Whatever is being read, the newest messages are wanted instead. */
  newest() {
    if (this.reading !== "newest") this.#read("newest");
  }

  again() {
    this.#read(this.#timeline.entries.length ? "again" : "newest");
  }

  retry() {
    if (this.failed) this.#read(this.failed);
  }

  stop() {
    this.#run.abort();
    this.reading = null;
  }

  async #read(name) {
    this.stop();
    const { signal } = (this.#run = new AbortController());
    this.reading = name;
    this.failed = null;
    this.#changed();
    try {
      await this.#fetch(STRETCHES[name], signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ClientError)) throw error;
      this.failed = name;
    }
    if (signal.aborted) return;
    this.#timeline.endReading();
    this.reading = null;
    this.#changed();
  }

  async #fetch({ ask, put, edge }, signal) {
    const timeline = this.#timeline;
    const asked = ask(timeline);
    const before = edge(timeline);
    timeline.beginReading();
    const page = await Array.fromAsync(this.#history({ ...asked, expandReactions: true, signal }));
    if (signal.aborted || edge(timeline) !== before) return; // no longer next to what is here
    put(timeline, page, page.length >= asked.limit);
  }
}

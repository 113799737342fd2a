// One subscription as the server has confirmed it, until it ends. The same channel's next one is
// another session.

import { isObject } from "./frames.js";
import { isCount } from "./options.js";

export class Session {
  /** What hotsock.subscribed said; a server without the extensions says nothing. */
  data;

  /** @type {?string} the numbering of the channel's changes (protocol.md section 19) */
  epoch = null;

  /** @type {?number} of the channel's newest change that has reached this client */
  position = null;

  #end = new AbortController();

  /** @param {unknown} data of hotsock.subscribed */
  constructor(data) {
    this.data = isObject(data) ? data : {};
    const { position, epoch } = this.data;
    if (!isCount(position) || typeof epoch !== "string") return;
    this.position = position;
    this.epoch = epoch;
  }

  /** @returns {AbortSignal} aborts when the subscription ends */
  get signal() {
    return this.#end.signal;
  }

  /** A frame of the channel said its position. */
  advance(position) {
    if (this.position !== null && position > this.position) this.position = position;
  }

  end() {
    this.#end.abort();
  }
}

/** A channel's sessions, one after another. */
export class Sessions {
  /** @type {?Session} from hotsock.subscribed on, until the subscription ends */
  current = null;
  #waiting = [];
  #closed = null;

  /** @param {unknown} data of hotsock.subscribed */
  begin(data) {
    this.end();
    this.current = new Session(data);
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.current);
  }

  end() {
    this.current?.end();
    this.current = null;
  }

  /** @returns {Promise<Session>} the present one, or the next; rejects where the server refuses */
  async next() {
    if (this.#closed) throw this.#closed;
    if (this.current) return this.current;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** There will be none for now. */
  refuse(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** There will never be one again. */
  close(error) {
    this.#closed = error;
    this.refuse(error);
  }
}

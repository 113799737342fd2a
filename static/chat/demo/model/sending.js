// Gets one person's messages from the outbox to the client, in order, and hears what became of each.
// What was waiting already goes out only where no other page has it, too. No DOM.

import { Outbox } from "./outbox.js";
import { COPIED, UNCERTAIN, refusal } from "./words.js";

// Of what the client says of a message that failed: it was never sent.
const NEVER_SENT = new Set(["EXPIRED", "QUEUE_FULL", "TERMINATED"]);

export class Sending {
  outbox;
  #connection;
  #kept;
  #lastId;
  #isStopped = false;

  /**
   * @param {object} parts
   * @param {import("./connection.js").Connection} parts.connection
   * @param {import("./storage.js").Owned} parts.kept where what waits outlives a reload
   * @param {function(): string | undefined} parts.lastId the last message id known
   * @param {function(): void} parts.changed told when the outbox has changed
   */
  constructor({ connection, kept, lastId, changed }) {
    this.#connection = connection;
    this.#kept = kept;
    this.#lastId = () => lastId() ?? "";
    this.outbox = new Outbox(kept.read([]), (items) => {
      this.#kept.write(items);
      changed();
    });
    this.outbox.doubtAll(UNCERTAIN);
    if (!kept.claim()) this.outbox.disown(COPIED);
  }

  send(text) {
    this.outbox.add(text, this.#lastId());
    this.flush();
  }

  again(key) {
    this.outbox.again(key, this.#lastId());
    this.flush();
  }

  /** Gives the client what waits, where the connection is live. */
  flush() {
    while (this.#connection.phase === "live") {
      const item = this.outbox.next();
      if (!item) return;
      this.#give(item);
    }
  }

  /**
   * An own message arrived, live or in history.
   * @returns {object | undefined} the item that it was
   */
  heard(entry) {
    return this.outbox.confirm(entry);
  }

  /** Whatever was missed has come. */
  caughtUp() {
    this.outbox.settle(this.#lastId());
  }

  /** This page is done with what waits: the next one that has it may send it. */
  release() {
    this.#kept.release();
  }

  /** Releases it, and lets what the client has be the next page's doubt. */
  stop() {
    this.#isStopped = true;
    this.release();
  }

  #give(item) {
    this.outbox.sent(item);
    const { text, ack } = item;
    this.#connection.send("chat", text, { ack }).then((outcome) => this.#settled(item, outcome));
  }

  #settled(item, { status, id, code }) {
    if (this.#isStopped || !this.outbox.has(item)) return;
    if (status === "sent") this.outbox.stored(item, id, id === undefined || id <= this.#lastId());
    else if (NEVER_SENT.has(code)) this.outbox.requeue(item);
    else if (code === "UNACKNOWLEDGED") this.#doubt(item);
    else this.outbox.fail(item, refusal(code), UNCERTAIN);
  }

  #doubt(item) {
    this.outbox.doubt(item, UNCERTAIN);
    this.flush();
  }
}

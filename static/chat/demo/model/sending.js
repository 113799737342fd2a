// Gets one person's messages from the outbox to the wire, one after another, and hears what became
// of each. What was waiting already goes out only where no other page has it, too. No DOM.

import { Outbox } from "./outbox.js";
import { COPIED, refusal } from "./words.js";

const ECHO_PATIENCE = 10_000; // ms from the wire to the echo; after that the connection is renewed

export class Sending {
  outbox;
  #connection;
  #kept;
  #lastId;
  #patience;

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
      kept.write(items);
      changed();
    });
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

  /** The connection is live: what the client still holds goes out by itself, then the rest. */
  resume() {
    if (this.outbox.onTheWire) this.#expectEcho();
    this.flush();
  }

  /** Puts the next message on the wire, if it is time. */
  flush() {
    const item = this.#connection.phase === "live" && this.outbox.next();
    if (!item) return;
    this.outbox.sent(item, this.#lastId());
    this.#expectEcho();
    this.#connection.send("chat", item.text);
  }

  /** An own message arrived, live or in history. */
  heard(entry) {
    const item = this.outbox.confirm(entry);
    if (item) this.#answered();
    return item;
  }

  refused(code) {
    // The client subscribes again by itself; the message goes out after that.
    if (code === "NOT_SUBSCRIBED") return this.#postpone();
    this.outbox.refuse(refusal(code));
    this.#answered();
  }

  /** The connection ended. Returns whether a message was on the wire, its fate unknown. */
  interrupt() {
    clearTimeout(this.#patience);
    if (!this.outbox.onTheWire || !this.#connection.handed) return false;
    this.outbox.interrupt();
    return true;
  }

  /** This page is done with what waits: the next one that has it may send it. */
  release() {
    this.#kept.release();
  }

  #expectEcho() {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.#connection.renew(), ECHO_PATIENCE);
  }

  #answered() {
    clearTimeout(this.#patience);
    this.flush();
  }

  #postpone() {
    clearTimeout(this.#patience);
    this.outbox.postpone();
  }
}

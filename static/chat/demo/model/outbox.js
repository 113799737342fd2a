// What one person wrote and the server has not confirmed yet, in order. Pure; `save` keeps it.
//
// A chat message carries no mark of its sender's making, so an echo is matched by order: at most
// one message is on the wire at a time, and the server answers a connection's frames in order
// (protocol.md section 6, 8). An item is
//   queued   not on the wire yet; goes out when the connection is live
//   sent     on the wire, no answer yet
//   unsure   was on the wire when the connection broke: history will tell
//   failed   refused or lost; waits for its writer to send it again or drop it

export class Outbox {
  #items;
  #save;
  #nextKey = 1;

  /** `saved` is what `save` was last given: what was on the wire then can no longer be. */
  constructor(saved = [], save = () => {}) {
    this.#items = saved.map((item) => ({
      ...item,
      key: this.#nextKey++,
      state: item.state === "sent" ? "unsure" : item.state,
    }));
    this.#save = save;
  }

  get items() {
    return this.#items;
  }

  /** `since` is the last message id known as it was written, "" where there is none. */
  add(text, since = "") {
    this.#items.push({ key: this.#nextKey++, text, at: Date.now(), state: "queued", since });
    this.#save(this.#items);
  }

  /** The item to put on the wire now, if any: the first queued one, with none before it open. */
  next() {
    const open = this.#items.find(({ state }) => state !== "failed");
    return open?.state === "queued" ? open : undefined;
  }

  /**
   * `after` is the last message id known, "" where there is none: only a later one can be this
   * item's. An item without it is not on its way; one that was given up keeps it.
   */
  sent(item, after) {
    this.#change(item, { state: "sent", after, reason: undefined });
  }

  /** An own message arrived, live or in history. Returns whether it was one of these items. */
  confirm({ id, text }) {
    const itsOwn = this.#items.filter((item) => item.after < id && item.text === text);
    // The one on the wire before one that was given up: its echo is due.
    const item = itsOwn.find(({ state }) => state === "sent") ?? itsOwn[0];
    if (item) this.drop(item.key);
    return item;
  }

  /** The server refused the message that is on the wire. */
  refuse(reason) {
    const item = this.#of("sent");
    if (item) this.#change(item, { state: "failed", after: undefined, reason });
  }

  /** The server did not take it for a passing reason: it goes out again. */
  postpone() {
    const item = this.#of("sent");
    if (item) this.#change(item, { state: "queued", after: undefined });
  }

  /** The connection ended without an answer. */
  interrupt() {
    const item = this.#of("sent");
    if (item) this.#change(item, { state: "unsure" });
  }

  get onTheWire() {
    return this.#of("sent");
  }

  get unsure() {
    return this.#of("unsure");
  }

  /** History was read and did not have it, and the old connection can no longer bring it. */
  requeue() {
    if (this.unsure) this.#change(this.unsure, { state: "queued", after: undefined });
  }

  /** History did not have it, but nothing proves that it is not still on its way. */
  giveUp(reason) {
    if (this.unsure) this.#change(this.unsure, { state: "failed", reason });
  }

  /**
   * Another page may have these same items: none goes out by itself. One that turns up, sent by the
   * other, is confirmed, unless nothing tells it from an older message of the same text.
   */
  disown(reason) {
    for (const item of this.#items.filter(({ state }) => state === "queued")) {
      this.#change(item, { state: "failed", after: item.since || undefined, reason });
    }
  }

  /** Its writer wants it sent again. It goes behind what waits already. */
  again(key, since) {
    const item = this.drop(key);
    if (item) this.add(item.text, since);
  }

  drop(key) {
    const item = this.#items.find((each) => each.key === key);
    this.#items = this.#items.filter((each) => each !== item);
    this.#save(this.#items);
    return item;
  }

  #of(state) {
    return this.#items.find((item) => item.state === state);
  }

  #change(item, changes) {
    Object.assign(item, changes);
    this.#save(this.#items);
  }
}

// What one person wrote and the server has not confirmed yet, in order. Pure; `save` keeps it, also
// over a reload. An item is
//   queued   waits for the connection to be live
//   sent     with the client, which says what becomes of it
//   here     seen as a message already, while the client has not said anything yet: not shown
//   failed   refused or lost; waits for its writer to send it again or drop it
// Its `ack` is that of each try, so that it is stored once however often it goes out.

import { newAck } from "../../client/acknowledgement.js";

const AGAIN_FOR = 540_000; // ms after the first try; the server forgets after 600 s (section 19)

export class Outbox {
  #items;
  #save;
  #now;
  #nextKey = 1;

  /** `saved` is what `save` was last given, perhaps by a page that was left with a message sent. */
  constructor(saved = [], save = () => {}, now = Date.now) {
    this.#items = saved.map((item) => ({ ack: newAck(), ...item, key: this.#nextKey++ }));
    this.#save = save;
    this.#now = now;
  }

  /** Those to be shown. */
  get items() {
    return this.#items.filter(({ state }) => state !== "here");
  }

  /** `since` is the last message id known as it was written, "" where there is none. */
  add(text, since = "") {
    this.#push({ text, since, ack: newAck() });
  }

  /** The item to send now, if any. */
  next() {
    return this.#items.find(({ state }) => state === "queued");
  }

  /** The client has it. */
  sent(item) {
    this.#change(item, { state: "sent", triedAt: item.triedAt ?? this.#now(), reason: undefined });
  }

  /**
   * An own message arrived, live or in history. What the client has is answered in the order of
   * sending, so the first one of that text is taken for it; should that be wrong, the client says.
   * @returns {object | undefined} the item that is not to be shown any more
   */
  confirm({ id, text }) {
    const item =
      this.#items.find((each) => each.id === id) ??
      this.#items.find((each) => each.text === text && each.since < id && mayArrive(each));
    if (item?.state === "sent" && !item.id) this.#change(item, { state: "here" });
    else if (item) this.drop(item.key);
    return item;
  }

  /** The server has it as the message of that id; it is dropped where that is known already. */
  stored(item, id, isKnown) {
    if (isKnown || item.state === "here") this.drop(item.key);
    else this.#change(item, { id });
  }

  /** All messages up to that id are known, or were passed over. */
  settle(lastId) {
    for (const { key, id } of this.#items) if (id <= lastId) this.drop(key);
  }

  /** It was refused, or cannot be sent; after an earlier try nobody knows whether that arrived. */
  fail(item, reason, uncertain) {
    const { isInDoubt } = item;
    this.#change(item, { state: "failed", reason: isInDoubt ? uncertain : reason });
  }

  /** It was never sent: it goes out when the connection is live. */
  requeue(item) {
    this.#change(item, { state: "queued", triedAt: item.isInDoubt ? item.triedAt : undefined });
  }

  /**
   * It was sent, but the client heard no answer. Seen as a message, it has arrived; else it goes out
   * again, unless that is too long ago.
   */
  doubt(item, uncertain) {
    if (item.state === "here") return this.drop(item.key);
    const state = this.#isRecent(item) ? "queued" : "failed";
    this.#change(item, { isInDoubt: true, state, reason: uncertain });
  }

  /** What an earlier page left with its client. */
  doubtAll(uncertain) {
    for (const item of this.#items.filter(wasSent)) this.doubt(item, uncertain);
  }

  /**
   * Another page may have these same items: none goes out by itself. One that turns up, sent by the
   * other, is confirmed, unless nothing tells it from an older message of the same text.
   */
  disown(reason) {
    for (const item of this.#items.filter(({ state }) => state === "queued")) {
      this.#change(item, { state: "failed", isInDoubt: Boolean(item.since), reason });
    }
  }

  /** Its writer wants it sent again. It goes behind what waits already. */
  again(key, since) {
    const item = this.drop(key);
    if (!item) return;
    const { text, ack } = item;
    const { triedAt, isInDoubt } = this.#isRecent(item) ? item : {};
    this.#push({ text, since, ack, triedAt, isInDoubt });
  }

  /** Whether it is among these, shown or not. */
  has(item) {
    return this.#items.includes(item);
  }

  drop(key) {
    const item = this.#items.find((each) => each.key === key);
    this.#items = this.#items.filter((each) => each !== item);
    this.#save(this.#items);
    return item;
  }

  #push(item) {
    this.#items.push({ ...item, key: this.#nextKey++, at: this.#now(), state: "queued" });
    this.#save(this.#items);
  }

  #isRecent({ triedAt }) {
    return this.#now() - triedAt < AGAIN_FOR;
  }

  #change(item, changes) {
    Object.assign(item, changes);
    this.#save(this.#items);
  }
}

const wasSent = ({ state }) => state === "sent" || state === "here";

const mayArrive = ({ state, isInDoubt }) => state === "sent" || (state === "failed" && isInDoubt);

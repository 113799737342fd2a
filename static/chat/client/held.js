// What a follower has told of: the newest messages, and who reacted how. Merges what history and
// the live frames say into news, each told once and in order. No I/O.
//
// A live message is news where it comes after the newest one that is known: positions decide where
// there are any, else ids. History is the truth of the moment at which it is read: what is held and
// not in it was deleted, reactions that differ have changed, messages behind the last known one are
// news. Frames that were received meanwhile are applied on top; those that history contained
// already change nothing.

import { isObject } from "./frames.js";

const MAX_HELD = 300;

/**
 * @typedef {object} Reaction
 * @property {string} messageId
 * @property {string} reaction
 * @property {"add" | "remove"} action
 * @property {?string} uid
 * @property {unknown} umd
 */

export class Held {
  #reactions = new Map(); // id of a message -> reaction -> uid -> umd; in the messages' order
  #newest; // {id, position} of the newest message that is known
  #begin; // messages with an id below are not ours to tell

  /**
   * @param {string} [id] of the newest message that the application knows
   * @param {Iterable<import("./history.js").Message>} [messages] those of them that are held
   */
  constructor(id = "", messages = []) {
    this.#begin = justAbove(id);
    this.startWith([...messages]);
    this.#newest = { id };
  }

  /** @returns {boolean} whether no message is known, nor one that we must not tell of */
  get isBlank() {
    return this.#newest.id === "" && this.#begin === "";
  }

  /** @returns {boolean} whether the message is news */
  add(message) {
    if (this.#reactions.has(message.id) || !isAfter(message, this.#newest)) return false;
    if (message.id < this.#begin) this.#begin = message.id; // history was read after it was sent
    this.#hold(message);
    return true;
  }

  /**
   * @param {Reaction} change
   * @returns {boolean} whether it is news; of messages that are not held, always
   */
  react({ messageId, reaction, action, uid, umd }) {
    const reactions = this.#reactions.get(messageId);
    if (!reactions) return true;
    const uids = reactions.get(reaction) ?? new Map();
    if (uids.has(uid) === (action === "add")) return false;
    if (action === "add") uids.set(uid, umd);
    else uids.delete(uid);
    reactions.set(reaction, uids);
    return true;
  }

  remove(messageId) {
    this.#reactions.delete(messageId);
  }

  /** All messages up to that position are known; null: there are none. */
  settle(position) {
    const { id, position: own = 0 } = this.#newest;
    if (position !== null) this.#newest = { id, position: Math.max(own, position) };
  }

  /** Messages up to that one are not ours to tell. */
  startAfter(id) {
    this.#begin = justAbove(id);
  }

  /** The numbers began anew, so those of before say nothing. */
  forgetPositions() {
    this.#newest = { id: this.#newest.id };
  }

  /** Forgets what it holds; from the oldest of these messages on, all is to be told. */
  startWith(messages) {
    this.#reactions.clear();
    this.#begin = messages[0]?.id ?? this.#begin;
    for (const message of messages) this.#hold(message);
  }

  /** @returns {boolean} whether a message of history was told of, or is older than all that was */
  knows(message) {
    if (message.id < this.#begin) return true;
    return this.#reactions.size > 0
      ? this.#reactions.has(message.id)
      : !isAfter(message, this.#newest);
  }

  /** @returns {boolean} whether reading back may stop at this message */
  endsAt(message) {
    return message.id < this.#begin || (this.#reactions.size === 0 && this.knows(message));
  }

  /**
   * History as it is now.
   * @param {import("./history.js").Message[]} history oldest first, with expanded reactions, from
   *   the oldest message that is ours to tell
   * @returns {{deleted: string[], reactions: Reaction[], added: import("./history.js").Message[]}}
   */
  compare(history) {
    const present = new Map(history.map((message) => [message.id, message]));
    const deleted = [...this.#reactions.keys()].filter((id) => !present.has(id));
    const added = history.slice(history.findLastIndex((message) => this.knows(message)) + 1);
    for (const id of deleted) this.#reactions.delete(id);
    const reactions = [...this.#reactions].flatMap(([id, known]) => {
      const now = reactionsOf(present.get(id));
      this.#reactions.set(id, now);
      return differences(id, known, now);
    });
    for (const message of added) this.#hold(message);
    return { deleted, reactions, added };
  }

  #hold(message) {
    this.#reactions.set(message.id, reactionsOf(message));
    this.#newest = { id: message.id, position: message.position };
    if (this.#reactions.size <= MAX_HELD) return;
    const [oldest, second] = this.#reactions.keys();
    this.#reactions.delete(oldest);
    this.#begin = second;
  }
}

/** The least text above an id; ids are equally long. */
const justAbove = (id) => (id === "" ? "" : `${id} `);

function isAfter(message, other) {
  const areNumbered = message.position !== undefined && other.position !== undefined;
  return areNumbered ? message.position > other.position : message.id > other.id;
}

function reactionsOf({ reactions }) {
  const entries = Object.entries(isObject(reactions) ? reactions : {});
  return new Map(
    entries.map(([reaction, { items = [] }]) => [
      reaction,
      new Map(items.map(({ uid, umd = null }) => [uid, umd])),
    ]),
  );
}

function differences(messageId, before, now) {
  const missing = (action, from, there) =>
    [...from].flatMap(([reaction, uids]) =>
      [...uids]
        .filter(([uid]) => !there.get(reaction)?.has(uid))
        .map(([uid, umd]) => ({ messageId, reaction, action, uid, umd })),
    );
  return [...missing("remove", before, now), ...missing("add", now, before)];
}

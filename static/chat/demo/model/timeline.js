// An unbroken stretch of one channel's stored messages in the order of their ids, and who reacted
// how. Holds MOST at most: beyond that it lets go at the end that the reader is not at; history
// brings that back. No DOM, no network.
//
// The merge rule, for a page of history and what is live while it is on its way:
// 1. A message enters once; the same id again adds nothing. One deleted meanwhile does not enter.
// 2. (message, reaction, uid) is one bit: as the page says, unless a live event for that bit came
//    since the page was asked for. Then the last of these stands.
// 3. A page that reaches the newest message is followed by the messages that came meanwhile.
//
// Why it holds: what a page says was true at some moment after it was asked for, and every change
// after that comes live, in order, none missing (design.md section 3, P2 and P3).

import { decodeTime } from "../../client/ulid.js";

export const MOST = 150; // in each of the page's two windows
const ROOMY = 100; // so many are left where there is to be room again

export class Timeline {
  /** In order. Read only; what changes is replaced, arrays and entries alike. */
  entries = [];
  /** Whether history may have messages before the first one here, and after the last one. */
  hasOlder = false;
  hasNewer = false;
  /** Whether the reader is at the newest messages: then the oldest make room, else the newest. */
  followsEnd = true;
  #meanwhile = null;

  get(id) {
    return this.entries[this.#indexOf(id)];
  }

  get firstId() {
    return this.entries[0]?.id;
  }

  get lastId() {
    return this.entries.at(-1)?.id;
  }

  /** A page will be asked for. */
  beginReading() {
    this.#meanwhile = new Meanwhile();
  }

  /** It is here, or will not come. */
  endReading() {
    this.#meanwhile = null;
  }

  /** The page before the first entry, in order. */
  addOlder(messages, hasOlder) {
    this.hasOlder = hasOlder;
    this.#add(messages);
    if (this.entries.length > MOST) this.#letGoOfNewest();
  }

  /** The page after the last entry, in order. */
  addNewer(messages, hasNewer) {
    this.hasNewer = hasNewer || Boolean(this.#meanwhile?.isCutShort);
    this.#add(this.hasNewer ? messages : [...messages, ...(this.#meanwhile?.messages ?? [])]);
    if (this.entries.length > MOST) this.#letGoOfOldest(MOST);
  }

  /** This page, in order, instead of all that was here. */
  replace(messages, hasOlder, hasNewer) {
    this.entries = [];
    this.hasOlder = hasOlder;
    this.addNewer(messages, hasNewer);
  }

  /** What was here may no longer be next to what comes from now on. */
  leaveEnd() {
    this.hasNewer = true;
  }

  /** A live message. It stays out where there is a gap before it, or no room. */
  addLive(message) {
    this.#meanwhile?.add(message);
    if (this.hasNewer || (this.hasOlder && message.id < this.firstId)) return;
    if (!this.followsEnd && this.entries.length >= MOST) return this.leaveEnd();
    this.#add([message]);
    if (this.entries.length > MOST) this.#letGoOfOldest(MOST);
  }

  /** Lets go of the oldest before new ones need their room, so that both do not move at once. */
  makeRoom() {
    if (!this.followsEnd || this.entries.length < MOST) return false;
    this.#letGoOfOldest(ROOMY);
    return true;
  }

  /** A live reaction event. Returns the entry as it is now, or nothing where it changed none. */
  react({ messageId, reaction, action }, uid) {
    const bit = { reaction, uid, present: action === "add" };
    this.#meanwhile?.react(messageId, bit);
    const entry = this.get(messageId);
    const reactions = entry && withBit(entry.reactions, bit);
    if (!entry || reactions === entry.reactions) return undefined;
    return this.#put({ ...entry, reactions });
  }

  /** The message was deleted. */
  remove(id) {
    this.#meanwhile?.deleted.add(id);
    this.entries = this.entries.filter((entry) => entry.id !== id);
  }

  /** The entry is the message that waited under this key. */
  adopt(id, key) {
    const entry = this.get(id);
    if (entry) this.#put({ ...entry, key });
  }

  #add(messages) {
    const all = new Map(this.entries.map((entry) => [entry.id, entry]));
    for (const message of messages) {
      if (all.has(message.id) || this.#meanwhile?.deleted.has(message.id)) continue;
      all.set(message.id, this.#read(message));
    }
    this.entries = [...all.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  #read(message) {
    let reactions = readReactions(message.reactions);
    for (const bit of this.#meanwhile?.bitsOf(message.id) ?? []) reactions = withBit(reactions, bit);
    return {
      id: message.id,
      event: message.event,
      uid: message.meta?.uid ?? null,
      text: asText(message.data),
      time: timeOf(message.id),
      reactions,
    };
  }

  #put(entry) {
    this.entries = this.entries.with(this.#indexOf(entry.id), entry);
    return entry;
  }

  #letGoOfNewest() {
    this.entries = this.entries.slice(0, MOST);
    this.hasNewer = true;
  }

  #letGoOfOldest(rest) {
    this.entries = this.entries.slice(-rest);
    this.hasOlder = true;
  }

  /** Most often one of the last. */
  #indexOf(id) {
    return this.entries.findLastIndex((entry) => entry.id === id);
  }
}

/** What was live since a page was asked for. */
class Meanwhile {
  messages = [];
  isCutShort = false; // more messages came than there is room for
  deleted = new Set();
  #bits = new Map(); // message id -> bit key -> the last live event

  add(message) {
    if (this.messages.length < MOST) this.messages.push(message);
    else this.isCutShort = true;
  }

  react(messageId, bit) {
    if (!this.#bits.has(messageId)) this.#bits.set(messageId, new Map());
    this.#bits.get(messageId).set(`${bit.reaction}\0${bit.uid}`, bit);
  }

  bitsOf(messageId) {
    return this.#bits.get(messageId)?.values() ?? [];
  }
}

/** From the form that history has with `expandReactions`: reaction -> Set of uids. */
function readReactions(page = {}) {
  return new Map(
    Object.entries(page).map(([reaction, { items }]) => [
      reaction,
      new Set(items.map(({ uid }) => uid)),
    ]),
  );
}

/** The reactions with that bit; the same object where it was so before. */
function withBit(reactions, { reaction, uid, present }) {
  const uids = new Set(reactions.get(reaction));
  if (uids.has(uid) === present) return reactions;
  if (present) uids.add(uid);
  else uids.delete(uid);
  const changed = new Map(reactions).set(reaction, uids);
  if (!uids.size) changed.delete(reaction);
  return changed;
}

/** A message of another client may be any JSON. */
function asText(data) {
  return typeof data === "string" ? data : JSON.stringify(data ?? null);
}

/** NaN for the id of a foreign server that is no ULID: the message is shown without a time. */
function timeOf(id) {
  try {
    return decodeTime(id);
  } catch (error) {
    if (error instanceof TypeError) return NaN;
    throw error;
  }
}

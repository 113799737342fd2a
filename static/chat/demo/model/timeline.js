// The messages of one channel in the order of their ids, and who reacted how. No DOM, no network.
//
// The merge rule, for history pages and live events that arrive in any interleaving:
// 1. A message enters once, the first time its id is seen; the same id again adds nothing.
// 2. (message, reaction, uid) is one bit. A live event sets it. A page sets it too, unless a live
//    event for that bit came since the reading began: then the live event stands.
// 3. Live reactions to a message that is not here yet wait for its page until the reading ends.
//
// Why it holds: what a page says was true at some moment after the reading began, and every
// change after the subscription comes live, in order, none missing (design.md section 3, P2 and
// P3). So a bit without a live event is as the page says, and of the others the last live event
// speaks last: one that the page already contained is followed by those that it also contained.

export class Timeline {
  #byId = new Map();
  #order = [];
  #reading = null; // message id -> bit key -> the last live event since the reading began

  /** Entries in the order of their ids. Read only. */
  get entries() {
    return this.#order;
  }

  get(id) {
    return this.#byId.get(id);
  }

  get lastId() {
    return this.#order.at(-1)?.id;
  }

  /** Pages will follow. Called before the first of them is asked for. */
  beginReading() {
    this.#reading = new Map();
  }

  /** All pages are in: what is not here by now comes live. */
  endReading() {
    this.#reading = null;
  }

  /**
   * A page of history.
   * @returns {{added: object[], changed: object[]}} the entries that were not here before, and the
   *   others whose reactions are not what they were
   */
  addPage(messages) {
    const added = messages.map((message) => this.addLive(message)).filter(Boolean);
    const changed = messages
      .filter(({ id, reactions }) => this.#readReactions(this.#byId.get(id), reactions ?? {}))
      .map(({ id }) => this.#byId.get(id));
    const fresh = new Set(added);
    return { added, changed: changed.filter((entry) => !fresh.has(entry)) };
  }

  /** A live message. Returns its entry, or nothing where it was here already. */
  addLive(message) {
    if (this.#byId.has(message.id)) return undefined;
    const entry = {
      id: message.id,
      uid: message.meta?.uid ?? null,
      text: asText(message.data),
      reactions: new Map(),
    };
    this.#byId.set(entry.id, entry);
    this.#order.splice(this.#place(entry.id), 0, entry);
    return entry;
  }

  /** A live reaction event. Returns the entry that it changed, or nothing. */
  react({ messageId, reaction, action }, uid) {
    const bit = { reaction, uid, present: action === "add" };
    this.#remember(messageId, bit);
    const entry = this.#byId.get(messageId);
    return entry && setBit(entry.reactions, bit) ? entry : undefined;
  }

  /** Where an id belongs: nearly always at the end, so that is looked at first. */
  #place(id) {
    if (!this.#order.length || this.lastId < id) return this.#order.length;
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#order[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #readReactions(entry, page) {
    const before = entry.reactions;
    entry.reactions = new Map(
      Object.entries(page).map(([reaction, { items }]) => [reaction, uidsOf(items)]),
    );
    for (const bit of this.#reading?.get(entry.id)?.values() ?? []) setBit(entry.reactions, bit);
    return !isSame(before, entry.reactions);
  }

  #remember(messageId, bit) {
    if (!this.#reading) return;
    if (!this.#reading.has(messageId)) this.#reading.set(messageId, new Map());
    this.#reading.get(messageId).set(`${bit.reaction}\0${bit.uid}`, bit);
  }
}

const uidsOf = (items) => new Set(items.map(({ uid }) => uid));

const isSame = (one, other) => asJson(one) === asJson(other);

const asJson = (reactions) =>
  JSON.stringify([...reactions], (_, value) => (value instanceof Set ? [...value] : value));

/** Whether the bit was not so before. */
function setBit(reactions, { reaction, uid, present }) {
  const uids = reactions.get(reaction) ?? new Set();
  if (uids.has(uid) === present) return false;
  if (present) uids.add(uid);
  else uids.delete(uid);
  if (uids.size) reactions.set(reaction, uids);
  else reactions.delete(reaction);
  return true;
}

/** A message of another client may be any JSON. */
function asText(data) {
  return typeof data === "string" ? data : JSON.stringify(data ?? null);
}

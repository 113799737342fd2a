// One active reaction a person and message: which frames make it so. What is shown follows the
// echoes alone; between a click and its echo the wish counts, so that quick clicks do not add up.

export class ReactionWishes {
  #wishes = new Map(); // message id -> Set of reactions that the person will have there

  /** The `data` of the frames to send, in order: what was chosen before goes first. */
  choose(entry, uid, reaction) {
    const active = this.#wishes.get(entry.id) ?? activeOf(entry, uid);
    const wished = new Set(active.has(reaction) ? [] : [reaction]);
    this.#wishes.set(entry.id, wished);
    const frame = (action) => (value) => ({ messageId: entry.id, reaction: value, action });
    return [...[...active].map(frame("remove")), ...[...wished].map(frame("add"))];
  }

  /** An own reaction came back: a wish that has come true is forgotten. */
  settle(entry, uid) {
    const wished = this.#wishes.get(entry.id);
    if (wished && isEqual(wished, activeOf(entry, uid))) this.#wishes.delete(entry.id);
  }

  /** A refused frame or a lost connection: what is shown is what counts again. */
  clear() {
    this.#wishes.clear();
  }
}

/** The reactions that `uid` has on the entry. */
export function activeOf({ reactions }, uid) {
  return new Set([...reactions].filter(([, uids]) => uids.has(uid)).map(([reaction]) => reaction));
}

const isEqual = (one, other) =>
  one.size === other.size && [...one].every((value) => other.has(value));

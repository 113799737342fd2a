// Reads what a follower needs of history: the newest messages to begin with, later all back to what
// it holds.

import { read } from "./history.js";

/**
 * What was missed, and what to make of it: to begin with it, to compare it with what is held, or to
 * jump there, since it does not reach back to that.
 * @typedef {object} Past
 * @property {import("./history.js").Message[]} history oldest first, with expanded reactions
 * @property {"opening" | "comparison" | "jump"} kind
 */

/**
 * @param {object} source as of read()
 * @param {import("./telling.js").Telling} telling
 * @returns {Promise<Past>}
 */
export function readPast(source, telling) {
  return telling.isOpening ? readNewest(source, telling) : readBack(source, telling);
}

async function readNewest(source, { options: { limit }, isNumbered }) {
  const history = [];
  if (limit > 0 || !isNumbered) {
    // without numbers the newest one tells the old from the new
    const range = { limit: Math.max(limit, 1), expandReactions: true };
    for await (const message of read(source, range)) history.push(message);
  }
  return { kind: "opening", history: history.toReversed() };
}

async function readBack(source, telling) {
  const { held, options } = telling;
  const history = [];
  let isJoined = false;
  for await (const message of read(source, { expandReactions: true })) {
    if (!telling.isStored(message)) continue;
    isJoined ||= held.knows(message);
    if (held.endsAt(message)) break;
    history.push(message);
    if (!isJoined && history.length > options.maxMissed) {
      return { kind: "jump", history: history.slice(0, options.limit).toReversed() };
    }
  }
  return { kind: isJoined || held.isBlank ? "comparison" : "jump", history: history.toReversed() };
}

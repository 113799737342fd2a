// What channel.follow() accepts, checked once.

import { isObject } from "./frames.js";
import { isCount, isFunction, readFields } from "./options.js";

const ignore = () => {};

/**
 * Plain JSON.
 * @typedef {object} FollowPosition
 * @property {number} [position] of the channel's last change that was told (protocol.md section 19)
 * @property {string} [epoch] the numbering that position belongs to
 * @property {string} [id] of the last message that was told
 */

/**
 * All callbacks are optional. What they throw goes to `@@error`, and following goes on.
 * @typedef {object} FollowOptions
 * @property {string | RegExp} [event] of the messages; by default every stored message is told. A
 *   server without positions (section 19) does not say what is stored: there, name it
 * @property {?FollowPosition} [since] where an earlier follower stopped: its position
 * @property {Iterable<import("./history.js").Message>} [messages] of the messages up to `since`,
 *   those that the application still shows, oldest first, with the `reactions` that it shows: where
 *   history must be read, it is compared with them
 * @property {number} [limit] 0 or more, 50 by default: with how many of the newest stored messages
 *   to begin, and to go on after a jump; 0: with those that come live
 * @property {number} [maxMissed] 0 or more, 1000 by default: where more messages than these were
 *   missed, it jumps
 * @property {function(import("./history.js").Message): void} [onMessage] each stored message, once
 *   and in order; those read from history have their `reactions`
 * @property {function(import("./held.js").Reaction): void} [onReaction] a reaction was added or
 *   removed, since its message was told
 * @property {function({messageId: string}): void} [onDelete] a message is in history no longer
 * @property {function(): void} [onJump] from here on messages may be missing, and those told so far
 *   are kept true no longer: forget them. The newest follow
 * @property {function({count: number, recovered: boolean, jumped: boolean, opening: boolean}): void
 *   } [onCaughtUp] after each subscribing, once all that was missed has been told. count: messages
 *   told; recovered: without history; opening: for the first time, without `since`
 */

const isMessages = (value) => typeof value?.[Symbol.iterator] === "function";

const isAbsent = (value) => value === undefined || value === null;

const isName = (value) => typeof value === "string" && value !== "";

const FIELDS = {
  event: [/^/, (value) => value instanceof RegExp || isName(value), "a string or a RegExp"],
  since: [null, (value) => value === null || isPosition(value), "a position of a follower"],
  messages: [[], isMessages, "an iterable of messages"],
  limit: [50, isCount, "a whole number, 0 or more"],
  maxMissed: [1000, isCount, "a whole number, 0 or more"],
  onMessage: [ignore, isFunction, "a function"],
  onReaction: [ignore, isFunction, "a function"],
  onDelete: [ignore, isFunction, "a function"],
  onJump: [ignore, isFunction, "a function"],
  onCaughtUp: [ignore, isFunction, "a function"],
};

function isPosition(value) {
  if (!isObject(value)) return false;
  const { position, epoch, id } = value;
  const isNumbered = isCount(position) && isName(epoch);
  return (isNumbered || isAbsent(position ?? epoch)) && (isAbsent(id) || isName(id));
}

/**
 * @param {FollowOptions} given
 * @returns {FollowOptions} complete
 * @throws {TypeError}
 */
export const readFollowOptions = (given) => readFields(FIELDS, given);

// Text <-> frame (protocol.md sections 6 and 7). Whatever the server sends is taken as hostile
// until it has the shape of a frame; what the fields hold is for the reader of that field.

/**
 * @typedef {object} Frame what callbacks receive
 * @property {string} event
 * @property {string} [channel] the real name, also where the client uses an alias
 * @property {string} [key] of storage entries
 * @property {unknown} [data] any JSON; null where a storage entry is not set
 * @property {?{uid: ?string, umd: unknown}} [meta] who sent it, or wrote the storage entry last; the
 *   server API leaves none
 * @property {string} [id] of messages; a ULID
 * @property {number} [position] of the channel's changes, this one's number (section 19)
 * @property {{code: string, message: string, event: string, ack?: string}} [error] on
 *   `hotsock.error`; ack: of the message that was refused
 */

export const HEARTBEAT = encode({ event: "hotsock.heartbeat" });
export const PING = encode({ event: "hotsock.ping" });

/** @returns {string} without the fields that are undefined */
export function encode(frame) {
  return JSON.stringify(frame);
}

// Of what encode() escapes as \u…, only surrogates begin with d; those of a pair it writes as they are.
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud/;

/** Whether a text that encode() made has no half of a character; servers refuse one. */
export function isWellFormed(text) {
  return !LONE_SURROGATE.test(text);
}

/** The largest frame that a server takes; it closes the connection for a larger one. */
export const MAX_FRAME_BYTES = 128 * 1024;

const utf8 = new TextEncoder();

/** @returns {number} bytes that it takes as a frame; Infinity where that is too many in any case */
export function frameBytes(text) {
  return text.length > MAX_FRAME_BYTES ? Infinity : utf8.encode(text).length;
}

/**
 * @param {unknown} text
 * @returns {?Frame} null for what is no frame
 */
export function decode(text) {
  const frame = typeof text === "string" ? parse(text) : null;
  return isObject(frame) && typeof frame.event === "string" && isName(frame.channel) ? frame : null;
}

/** Whether value has fields that can be read. */
export function isObject(value) {
  return typeof value === "object" && value !== null;
}

function isName(channel) {
  return channel === undefined || channel === null || typeof channel === "string";
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

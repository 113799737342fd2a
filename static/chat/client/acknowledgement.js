// Acknowledgements (protocol.md section 19): which frames ask for one, and what an answer says.

import { isObject } from "./frames.js";

const OPERATIONS = new Set(["hotsock.messageReaction", "hotsock.channelStorageSet"]);
const ACK = /^[A-Za-z0-9_-]{16,64}$/;
const RANDOM_BYTES = 16;

/**
 * What became of a message.
 * - `sent`: the server has done it. `id` is the message's; there is none for reactions, storage
 *   entries, schedules and events that the server does not acknowledge. `position` is its number in
 *   the channel, where it is stored; `scheduleArn` names a schedule; `repeated`: the server had it
 *   already, from an earlier try.
 * - `failed`: `code` is one of the server's (protocol.md section 17) or of ErrorCode. It was not
 *   done, but for `UNACKNOWLEDGED`: then nobody here knows.
 * @typedef {{status: "sent", id?: string, position?: number, scheduleArn?: string,
 *   repeated?: true} | {status: "failed", code: string, message: string}} Outcome
 */

/** Whether the server acknowledges an event: messages, and two of its own. */
export function isAcknowledged(event) {
  return !event.startsWith("hotsock.") || OPERATIONS.has(event);
}

/** @returns {string} 32 hexadecimal digits, for one operation */
export function newAck() {
  const bytes = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)); // randomUUID needs https:
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @throws {TypeError} */
export function checkAck(ack) {
  if (typeof ack === "string" && ACK.test(ack)) return;
  throw new TypeError("ack must be 16 to 64 of A-Z, a-z, 0-9, _ and -");
}

/** Whether a frame comes from a server that has the extensions of section 19. */
export function showsAcknowledging({ event, data }) {
  if (event === "hotsock.ack") return true;
  return event === "hotsock.subscribed" && isObject(data) && "epoch" in data;
}

/**
 * @param {import("./frames.js").Frame} frame any
 * @returns {?{ack: unknown, outcome: Outcome}} null: it answers no message
 */
export function readAnswer({ event, data, error }) {
  if (event === "hotsock.ack" && isObject(data)) return { ack: data.ack, outcome: sent(data) };
  if (event !== "hotsock.error" || !isObject(error)) return null;
  return { ack: error.ack, outcome: failed(String(error.code), String(error.message)) };
}

/** @returns {Outcome} */
export function failed(code, message) {
  return { status: "failed", code, message };
}

/** @returns {Outcome} with those of the fields that there are */
function sent({ id, position, scheduleArn, repeated }) {
  const fields = Object.entries({ id, position, scheduleArn, repeated });
  const given = fields.filter(([, value]) => value !== undefined && value !== null);
  return { status: "sent", ...Object.fromEntries(given) };
}

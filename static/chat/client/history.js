// Reads a channel's history page by page (protocol.md sections 8 and 14), through reconnecting.

import { Backoff } from "./backoff.js";
import { pause, unlessAborted } from "./deadline.js";
import { ClientError, ErrorCode } from "./errors.js";
import { HttpError } from "./http_api.js";
import { checkName, isCount } from "./options.js";

const PAGE = 100; // messages that one call answers with, at most
const MAX_ATTEMPTS = 5; // in a row, at one page

// What passes: no answer, no such connection any more, too slow, too many, not now.
const PASSING = new Set([0, 401, 408, 429, 500, 502, 503, 504]);

/**
 * A stored message.
 * @typedef {object} Message
 * @property {string} id a ULID
 * @property {string} event
 * @property {string} channel the real name
 * @property {unknown} data any JSON
 * @property {{uid: ?string, umd: unknown}} [meta] who sent it; the server API leaves none
 * @property {number} [position] its place in the order of the channel's changes (section 19)
 * @property {Object<string, {count: number, items?: {uid: string, umd?: unknown}[]}>} [reactions]
 *   of a message that was read from history
 */

/**
 * What to read, and how much of it.
 * @typedef {object} Range
 * @property {string} [after] an id: oldest first, from the message after it
 * @property {string} [before] an id: up to the message before it; without `after`: newest first
 * @property {number} [limit] of messages in all
 * @property {boolean} [expandReactions] who reacted, beside how many
 */

/**
 * @param {object} source
 * @param {string} source.channel
 * @param {import("./session.js").Sessions} source.sessions
 * @param {import("./http_api.js").HttpApi} source.http
 * @param {AbortSignal} source.signal ends the reading
 * @param {number} [source.maxAttempts]
 * @param {function(HttpError): void} [source.failed] told of each failure that another try follows
 * @param {Range} range
 * @returns {AsyncGenerator<Message, void>}
 * @throws {ClientError} HISTORY_FAILED or SUBSCRIBE_REFUSED; what the signal aborts with
 */
export async function* read(source, { after, before, limit = Infinity, expandReactions }) {
  const isForward = after !== undefined;
  const cursor = isForward ? "after" : "before";
  const body = { channel: source.channel, expandReactions, after, before };
  if (isForward) delete body.before;
  else body.reverse = true;
  for (let left = limit, isFull = true; isFull && left > 0;) {
    const size = Math.min(PAGE, left);
    const page = await readPage(source, size < PAGE ? { ...body, limit: size } : body);
    for (const message of page.slice(0, left)) {
      if (isForward && message.id >= before) return; // which the server would ignore
      yield message;
    }
    left -= page.length;
    isFull = page.length >= size;
    body[cursor] = page.at(-1)?.id;
  }
}

/** Asks until there is an answer, each time as the connection of that moment. */
async function readPage({ channel, sessions, http, signal, failed, maxAttempts }, body) {
  const backoff = new Backoff(maxAttempts ?? MAX_ATTEMPTS);
  for (;;) {
    const session = await unlessAborted(() => sessions.next(), signal);
    const either = [signal, session.signal];
    try {
      return await http.listMessages(body, either);
    } catch (cause) {
      signal.throwIfAborted();
      if (session.signal.aborted) continue;
      const delay = canPass(cause) ? backoff.next() : null;
      if (delay === null) throw failure(channel, cause);
      failed?.(cause);
      await pause(delay, either);
    }
  }
}

function canPass(error) {
  if (!(error instanceof HttpError)) return false;
  return PASSING.has(error.status) || error.code === "NOT_SUBSCRIBED";
}

/** @returns {ClientError} */
export function failure(channel, cause) {
  const message = `the history could not be read: ${cause.message}`;
  return new ClientError(ErrorCode.HISTORY_FAILED, message, { cause, channel });
}

/**
 * What channel.history() gives. Ends at once: a call under way is given up.
 * @param {function(AbortSignal): AsyncGenerator<Message, void>} begin
 * @param {AbortSignal} [outer] ends it as well
 * @returns {AsyncIterableIterator<Message>}
 */
export function iterate(begin, outer) {
  const controller = new AbortController();
  const messages = begin(controller.signal);
  const end = () => controller.abort();
  outer?.addEventListener("abort", end, { once: true });
  if (outer?.aborted) end();
  const quietly = (error) => {
    if (!controller.signal.aborted) throw error;
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => messages.next().catch(quietly),
    return: () => {
      end();
      return messages.return().catch(quietly);
    },
  };
}

/** @throws {TypeError} */
export function checkRange({ after, before, limit, expandReactions }) {
  for (const [label, id] of Object.entries({ after, before })) {
    if (id !== undefined) checkName(label, id);
  }
  if (limit !== undefined && !isCount(limit) && limit !== Infinity) {
    throw new TypeError("limit must be a whole number, 0 or more");
  }
  if (expandReactions === undefined || typeof expandReactions === "boolean") return;
  throw new TypeError("expandReactions must be true or false");
}

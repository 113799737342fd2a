// What the constructor accepts, checked once: a mistake is a TypeError that names its field.

import { LOG_LEVELS } from "./logger.js";

const MAX_HEARTBEAT_SECONDS = 600; // the longest that a token can ask for (protocol.md section 4)
const MAX_SEND_SECONDS = 540; // the server forgets an `ack` after 600 s (protocol.md section 19)

/**
 * @typedef {object} Options
 * @property {function(): (string | Promise<string>)} connectTokenFn gives a connect token; called
 *   before each attempt to connect, so the token may be short-lived and for a single use
 * @property {number} [connectTokenFnMaxAttempts] 1 or more, Infinity too; 2 by default. How many
 *   times in a row connectTokenFn may throw, reject, give no string or take more than 30 s. After
 *   that a client that never connected is `stopped` until resume(); one that did goes on, after a
 *   wait as for a lost connection, until terminate() or suspend()
 * @property {function(Error): void} [connectTokenErrorFn] called each time the attempts are used
 *   up; `cause` holds what connectTokenFn threw
 * @property {new (url: string) => object} [WebSocket] the class to connect with, such as that of
 *   the npm package ws; by default the platform's own, so Node needs it below version 22
 * @property {number} [heartbeatIntervalSeconds] 1 to 600, at or below the token's
 *   `heartbeatTimeout`; 0: no heartbeats; absent: two thirds of what the token says, none where it
 *   says nothing. Each is sent up to a tenth earlier, never later
 * @property {string | URL} [httpUrl] of the client HTTP API, up to `/connection/`; by default
 *   beside the WebSocket: `https://chat.example.org/` for `wss://chat.example.org/v1`
 * @property {boolean} [lazyConnection] connect with the first bind of a channel, message sent or
 *   resume(); by default at once
 * @property {import("./logger.js").LogLevel} [logLevel] "warn" by default
 * @property {number} [sendTimeoutSeconds] 1 to 540, 300 by default: how long a message may wait to
 *   be sent, or sent again; then it has failed
 */

export const isFunction = (value) => typeof value === "function";

function isAddress(value) {
  try {
    return /^https?:$/.test(new URL(value, globalThis.location?.href).protocol);
  } catch {
    return false;
  }
}

/** Whether it is a whole number, 0 or more. */
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

const FIELDS = {
  connectTokenFn: [undefined, isFunction, "a function"],
  connectTokenFnMaxAttempts: [
    2,
    (value) => value === Infinity || (Number.isInteger(value) && value >= 1),
    "an integer of 1 or more, or Infinity",
  ],
  connectTokenErrorFn: [() => {}, isFunction, "a function"],
  WebSocket: [
    null,
    (value) => isFunction(value ?? globalThis.WebSocket),
    "a WebSocket class, and must be given where there is no global one (Node below 22)",
  ],
  heartbeatIntervalSeconds: [
    null,
    (value) => value === null || value === 0 || (value >= 1 && value <= MAX_HEARTBEAT_SECONDS),
    "a number from 1 to 600, or 0 for none",
  ],
  httpUrl: [null, (value) => value === null || isAddress(value), "an http: or https: address"],
  lazyConnection: [false, (value) => typeof value === "boolean", "true or false"],
  logLevel: ["warn", (value) => LOG_LEVELS.includes(value), `one of ${LOG_LEVELS.join(", ")}`],
  sendTimeoutSeconds: [
    300,
    (value) => value >= 1 && value <= MAX_SEND_SECONDS,
    "a number from 1 to 540",
  ],
};

/**
 * @param {Partial<Options>} given null counts as absent; unknown fields are ignored
 * @returns {Options} complete
 * @throws {TypeError}
 */
export const readOptions = (given) => readFields(FIELDS, given);

/**
 * @param {object} fields by name: the default, what is valid, and that in words
 * @param {object} given null counts as absent; unknown fields are ignored
 * @returns {object} complete
 * @throws {TypeError}
 */
export function readFields(fields, given) {
  const read = ([name, [byDefault, isValid, expected]]) => {
    const value = given?.[name] ?? byDefault;
    if (!isValid(value)) throw new TypeError(`${name} must be ${expected}`);
    return [name, value];
  };
  return Object.fromEntries(Object.entries(fields).map(read));
}

/**
 * @param {string | URL} url of the WebSocket; on a page it may be relative to it
 * @returns {URL} ws: or wss:
 * @throws {TypeError}
 */
export function readAddress(url) {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.hash = ""; // a WebSocket's URL may have none
  if (/^wss?:$/.test(address.protocol)) return address;
  throw new TypeError(`url must be a ws: or wss: address, not ${address.protocol}`);
}

/** @throws {TypeError} that calls the value by its label */
export function checkName(label, value) {
  if (typeof value === "string" && value !== "") return;
  throw new TypeError(`${label} must be a string that is not empty`);
}

/** @throws {TypeError} */
export function checkCallback(callback) {
  if (!isFunction(callback)) throw new TypeError("the callback must be a function");
}

/** @throws {TypeError} */
export function checkBinding(event, callback, subscribeTokenFn) {
  if (!(event instanceof RegExp)) checkName("event", event);
  checkCallback(callback);
  if (subscribeTokenFn === undefined || isFunction(subscribeTokenFn)) return;
  throw new TypeError("subscribeTokenFn must be a function");
}

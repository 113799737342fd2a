// Who wants to hear what. A callback that throws disturbs nobody: it is reported, the others run.

import { call } from "./callback.js";
import { ClientError, ErrorCode } from "./errors.js";

const LIFECYCLE = Symbol("the client's own events");
const EVERYWHERE = Symbol("no channel given");

const LIFECYCLE_EVENTS = new Set([
  "@@connect",
  "@@disconnect",
  "@@error",
  "@@message",
  "@@messageSent",
]);

/**
 * What callbacks of the client's own events receive.
 * @typedef {{"@@connect": {type: string}, "@@disconnect": {code: number, reason: string},
 *   "@@error": ClientError, "@@message": {data: unknown}, "@@messageSent": string}} ClientEvents
 */

/**
 * What callbacks of an event receive.
 * @template {string | RegExp} Name
 * @typedef {Name extends keyof ClientEvents ? ClientEvents[Name] : import("./frames.js").Frame
 *   } Received
 */

/** A callback bound to an event; made by bind(). */
export class Binding {
  /** @type {function(): void} told once it has ended, in whatever way */
  ended = () => {};
  #remove;

  /**
   * @param {string | RegExp} event
   * @param {function(any): void} callback
   * @param {?import("./channel.js").Channel} channel
   * @param {function(Binding): void} remove
   */
  constructor(event, callback, channel, remove) {
    this.event = event;
    this.callback = callback;
    /** @type {?import("./channel.js").Channel} null when bound without a channel */
    this.channel = channel;
    this.#remove = remove;
  }

  /** Ends it, at once; the channel's last one unsubscribes. Calling it again does nothing. */
  unbind() {
    this.#remove(this);
  }
}

export class Bindings {
  #byPlace = new Map(); // arrays that are replaced, never changed: one may be being walked
  #live = new Set();
  #report;

  /** @param {function(ClientError): void} report of callbacks that threw */
  constructor(report) {
    this.#report = report;
  }

  add(binding) {
    const place = placeOf(binding.event, binding.channel?.name);
    this.#byPlace.set(place, [...this.#at(place), binding]);
    this.#live.add(binding);
  }

  /** @returns {boolean} whether it was there */
  remove(binding) {
    const place = placeOf(binding.event, binding.channel?.name);
    return this.#removeWhere(place, (other) => other === binding);
  }

  /**
   * @param {string | RegExp | undefined} event undefined: all of the channel
   * @param {string} [channelName]
   * @returns {boolean} whether there were any
   */
  removeMatching(event, channelName) {
    const wanted = String(event);
    const isMatch = (binding) => event === undefined || String(binding.event) === wanted;
    return this.#removeWhere(placeOf(event, channelName), isMatch);
  }

  has(channelName) {
    return this.#byPlace.has(channelName);
  }

  clear() {
    this.#byPlace.clear();
    for (const binding of this.#live) this.#end(binding);
  }

  /**
   * To the channel's own bindings first, then to those without a channel, each in order of binding.
   * @param {import("./frames.js").Frame} frame
   * @param {string[]} names of the channel: the real one, and the alias in use
   */
  dispatch(frame, names) {
    for (const place of [...names, EVERYWHERE]) this.#call(place, frame.event, frame);
  }

  /** A lifecycle event; a frame of the same name can not pass for it. */
  emit(event, value) {
    this.#call(LIFECYCLE, event, value);
  }

  #at(place) {
    return this.#byPlace.get(place) ?? [];
  }

  #removeWhere(place, isGone) {
    const all = this.#at(place);
    const rest = all.filter((binding) => !isGone(binding));
    if (rest.length > 0) this.#byPlace.set(place, rest);
    else this.#byPlace.delete(place);
    for (const binding of all) if (isGone(binding)) this.#end(binding);
    return rest.length < all.length;
  }

  #end(binding) {
    this.#live.delete(binding);
    binding.ended();
  }

  #call(place, event, value) {
    for (const binding of this.#at(place)) {
      const isLive = this.#live.has(binding); // an earlier callback may have ended it
      if (isLive && matches(binding.event, event)) this.#run(binding, value);
    }
  }

  #run(binding, value) {
    call(binding.callback, value, (cause) => {
      const event = String(binding.event);
      const details = { cause, event, channel: binding.channel?.name };
      const message = `the callback bound to ${event} failed`;
      this.#report(new ClientError(ErrorCode.CALLBACK_FAILED, message, details));
    });
  }
}

function placeOf(event, channelName) {
  if (channelName !== undefined) return channelName;
  return LIFECYCLE_EVENTS.has(event) ? LIFECYCLE : EVERYWHERE;
}

/** Whether an event is the one wanted, or of the wanted kind. */
export function matches(wanted, event) {
  if (typeof wanted === "string") return wanted === event;
  if (event === "hotsock.ack") return false; // nobody asked for it who does not know its name
  wanted.lastIndex = 0; // a RegExp with the flag g or y would go on from its last match
  return wanted.test(event);
}

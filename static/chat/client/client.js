// The client as applications see it, with what each call promises. Checks what it is given, and
// hands it on.

import { checkAck, isAcknowledged, newAck } from "./acknowledgement.js";
import { Binding } from "./bindings.js";
import { Channel } from "./channel.js";
import { Core } from "./core.js";
import { encode } from "./frames.js";
import { terminated } from "./outbox.js";
import { checkBinding, checkName, readAddress, readOptions } from "./options.js";

/**
 * @typedef {object} SendOptions
 * @property {unknown} [data] any JSON, up to 32 KiB; undefined: none
 * @property {string} [key] a storage key
 * @property {string} [scheduleExpression]
 * @property {string} [scheduleExpressionTimezone]
 * @property {boolean} [retry] false: sent once at most, for what is not stored; true by default
 * @property {string} [ack] 16 to 64 of A-Z, a-z, 0-9, _ and -, random; by default a new one. That of
 *   an earlier try, before the page was reloaded, stores the message once; at most 600 s later
 */

export class HotsockClient {
  /** What channels() makes. */
  static Channel = Channel;

  #core;
  #channels = new Map();

  /**
   * @param {string | URL} url of the WebSocket, such as "wss://chat.example.org/v1"
   * @param {import("./options.js").Options} options
   * @throws {TypeError} for a mistake in either; names the field
   */
  constructor(url, options) {
    this.#core = new Core(readAddress(url), readOptions(options));
  }

  /** @returns {import("./states.js").ConnectionState} */
  get state() {
    return this.#core.connection.state;
  }

  /**
   * The credentials for the client HTTP API; null while not connected.
   * @returns {?{connectionId: string, connectionSecret: string, connectionExpiresAt: string}}
   */
  get activeConnection() {
    return this.#core.connection.active;
  }

  /**
   * Calls back with each frame of that event. With a channel: with that channel's frames; the
   * channel's first binding subscribes to it, also after every reconnecting. Without: with frames
   * of every channel and of none, such as `hotsock.connected`; this subscribes to nothing.
   *
   * Nothing is repeated for a binding that comes late: who binds `hotsock.subscribed` after it was
   * received hears the next one, and looks at `channel.subscribed` and `channel.uid` meanwhile (at
   * `activeConnection` for `hotsock.connected`).
   *
   * Without a channel, these are the client's own events: `@@connect` (the WebSocket's event),
   * `@@disconnect` (close event, one for each `@@connect`), `@@message` (MessageEvent, all that is
   * received), `@@messageSent` (string, all that is sent) and `@@error` (ClientError; what the
   * server refuses comes as `hotsock.error`). A RegExp never matches them.
   *
   * What a callback throws is logged and goes to `@@error`; the others run all the same.
   *
   * @template {string | RegExp} Name
   * @param {Name} event
   * @param {(received: import("./bindings.js").Received<Name>) => unknown} callback
   * @param {object} [options]
   * @param {string} [options.channel] its name or alias
   * @param {function({channel: string, connectionId: string}): (string | Promise<string>)}
   *   [options.subscribeTokenFn] becomes the channel's
   * @returns {Binding}
   * @throws {TypeError}
   */
  bind(event, callback, { channel, subscribeTokenFn } = {}) {
    checkBinding(event, callback, subscribeTokenFn);
    const target = channel === undefined ? null : this.channels(channel);
    const binding = new Binding(event, callback, target, () => this.#end(binding));
    if (this.#core.isTerminated("bind")) return binding;
    this.#core.bindings.add(binding);
    if (target && subscribeTokenFn) target.subscribeTokenFn = subscribeTokenFn;
    this.#core.bound(binding);
    return binding;
  }

  /**
   * Ends the bindings of that event (a RegExp: of an equal one): with a channel that channel's,
   * without one those without. A channel's last binding unsubscribes.
   * @param {string | RegExp} [event] left out: of all events
   * @param {{channel?: string}} [options]
   */
  unbind(event, { channel } = {}) {
    if (this.#core.bindings.removeMatching(event, channel)) this.#core.released(channel);
  }

  /** Ends all bindings, also of the client's own events; unsubscribes from all channels. */
  clearBindings() {
    const names = [...this.#channels.keys()].filter((name) => this.#core.bindings.has(name));
    this.#core.bindings.clear();
    for (const name of names) this.#core.released(name);
  }

  /**
   * @param {string} name or alias
   * @returns {Channel} always the same one for a name; this alone subscribes to nothing
   * @throws {TypeError}
   */
  channels(name) {
    checkName("channel", name);
    if (!this.#channels.has(name)) {
      const { Channel: Kind } = /** @type {typeof HotsockClient} */ (this.constructor);
      this.#channels.set(name, new Kind(this, this.#core, name));
    }
    return this.#channels.get(name);
  }

  /**
   * Sends a message, or one of the `hotsock.` events that clients may send (protocol.md section 7).
   *
   * Until the client is connected, and for a channel with bindings until it is subscribed, it waits
   * with those before it, also through reconnecting and suspend(), for up to sendTimeoutSeconds.
   * Where the connection breaks before the answer, it is sent again after reconnecting, before what
   * was sent later; what is stored is stored once all the same. That is, if the server has shown
   * that it acknowledges, and if our uid is the same as before: the server knows the message again
   * by both `ack` and uid. What it does not store, it does not know again.
   *
   * For events that the server does not acknowledge (those of `hotsock.`, but for reactions and
   * `hotsock.channelStorageSet`), `sent` means handed to the socket.
   *
   * @param {string} event
   * @param {SendOptions & {channel?: string}} [options] channel: its name or alias
   * @returns {Promise<import("./acknowledgement.js").Outcome>} never rejects, so who does not care
   *   may ignore it. Failures of the client's own: `QUEUE_FULL` (256 messages or 4 MiB wait),
   *   `DATA_TOO_LARGE` (128 KiB), `INVALID_MESSAGE` (a lone surrogate), `EXPIRED` and
   *   `SUBSCRIBE_REFUSED`, which also go to `@@error`; `TERMINATED`; and
   *   `UNACKNOWLEDGED`: it was sent, and nobody here knows whether it arrived
   * @throws {TypeError} for a name that is no string, a bad ack, and data that JSON cannot express
   */
  sendMessage(event, { channel, data, key, ack = newAck(), retry = true, ...schedule } = {}) {
    checkName("event", event);
    if (channel !== undefined) checkName("channel", channel);
    checkAck(ack);
    const { scheduleExpression, scheduleExpressionTimezone } = schedule;
    const fields = { key, scheduleExpression, scheduleExpressionTimezone };
    const asked = isAcknowledged(event) ? ack : undefined;
    const text = encode({ event, channel, data, ...fields, ack: asked });
    return this.#send("sendMessage", { text, channel, event, data, ack: asked, retry });
  }

  /**
   * Sends the text as it is. Waits until the client is connected, but for no subscription.
   * @param {string} text a client frame
   * @throws {TypeError}
   */
  sendRawMessage(text) {
    if (typeof text !== "string") throw new TypeError("a raw message must be a string");
    this.#send("sendRawMessage", { text });
  }

  /** Closes the connection and keeps it closed; bindings and waiting messages stay. */
  suspend() {
    this.#core.connection.close("suspended");
  }

  /** Connects: after suspend(), after a stop for lack of a token, or without waiting any longer. */
  resume() {
    this.#core.connection.connect("resume");
  }

  /** Closes the connection for ever, drops bindings and waiting messages. */
  terminate() {
    this.#core.terminate();
  }

  #send(call, message) {
    if (this.#core.isTerminated(call)) return Promise.resolve(terminated());
    return this.#core.send(message);
  }

  #end(binding) {
    if (this.#core.bindings.remove(binding)) this.#core.released(binding.channel?.name);
  }
}

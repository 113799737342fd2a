// What an application holds of a channel: a name, and the client calls that go with it.

import { ClientError, ErrorCode } from "./errors.js";
import { encode } from "./frames.js";
import { checkCallback, checkName } from "./options.js";
import { TYPING, TypingSignal, watchTyping } from "./typing.js";

export class Channel {
  #client;
  #core;
  #subscription;
  #typingSignal = new TypingSignal();

  /** Made by client.channels(name), one for each name. */
  constructor(client, core, name) {
    this.#client = client;
    this.#core = core;
    this.#subscription = core.subscriptions.named(name);
  }

  /** @returns {string} as the application calls it: the real name or an alias */
  get name() {
    return this.#subscription.name;
  }

  /**
   * Our own uid in this channel; from `hotsock.subscribed` on, kept while reconnecting.
   * @returns {?string}
   */
  get uid() {
    return this.#subscription.membership.uid;
  }

  /** @returns {unknown} our own metadata in this channel; as uid */
  get umd() {
    return this.#subscription.membership.umd;
  }

  /**
   * Who is here, in the order of joining; empty but on presence channels. While reconnecting, the
   * last that was known. Each change is a new array.
   * @returns {{uid: string, umd: unknown}[]}
   */
  get members() {
    return this.#subscription.membership.members;
  }

  /** @returns {boolean} whether the server has confirmed the subscription on this connection */
  get subscribed() {
    return this.#subscription.status === "subscribed";
  }

  /**
   * Gives the subscribe token, where the connect token does not allow this channel. Asked at every
   * subscribing, and again (up to three times in a row) when it fails or the server says
   * `INVALID_SUBSCRIBE_TOKEN`; after that waiting messages go to `@@error`.
   * @type {function({channel: string, connectionId: string}): (string | Promise<string>)}
   */
  get subscribeTokenFn() {
    return this.#subscription.subscribeTokenFn;
  }

  set subscribeTokenFn(subscribeTokenFn) {
    this.#subscription.subscribeTokenFn = subscribeTokenFn;
  }

  /**
   * As client.bind, for this channel.
   * @param {string | RegExp} event
   * @param {(frame: import("./frames.js").Frame) => unknown} callback
   * @param {{subscribeTokenFn?: Channel["subscribeTokenFn"]}} [options]
   * @returns {import("./bindings.js").Binding}
   */
  bind(event, callback, { subscribeTokenFn } = {}) {
    return this.#client.bind(event, callback, { channel: this.name, subscribeTokenFn });
  }

  /**
   * As client.unbind, for this channel.
   * @param {string | RegExp} [event] left out: of all events
   */
  unbind(event) {
    this.#client.unbind(event, { channel: this.name });
  }

  /**
   * As client.sendMessage, to this channel.
   * @param {string} event
   * @param {import("./client.js").SendOptions} [options]
   * @returns {Promise<import("./acknowledgement.js").Outcome>}
   */
  sendMessage(event, options) {
    return this.#client.sendMessage(event, { ...options, channel: this.name });
  }

  /**
   * We are typing: call it at each key. Tells the others at most each 1.5 s, and not at all while
   * not connected and subscribed. The token must let us publish the event, best without `store`.
   * @param {{event?: string}} [options] "is-typing" by default
   * @throws {TypeError}
   */
  typing({ event = TYPING } = {}) {
    checkName("event", event);
    if (!this.#core.isReady(this.name) || !this.#typingSignal.isDue(event)) return;
    this.#core.connection.send(encode({ event, channel: this.name }));
  }

  /**
   * Calls back with the uids of the others who are typing, as that changes: each for 2 s after
   * their last sign of it, or until another event of theirs, such as their message. A binding: it
   * subscribes to the channel. At most 50 are listed.
   * @param {function(string[]): void} callback
   * @param {{event?: string}} [options] as of typing()
   * @returns {function(): void} ends it
   * @throws {TypeError}
   */
  onTyping(callback, { event = TYPING } = {}) {
    checkName("event", event);
    checkCallback(callback);
    return watchTyping(this, event, callback, (cause) => {
      const details = { cause, event, channel: this.name };
      const message = "the callback given to onTyping failed";
      this.#core.report(new ClientError(ErrorCode.CALLBACK_FAILED, message, details));
    });
  }
}

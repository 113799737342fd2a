// What an application holds of a channel: a name, and the client calls that go with it.

export class Channel {
  #client;
  #subscription;

  /** Made by client.channels(name), one for each name. */
  constructor(client, subscription) {
    this.#client = client;
    this.#subscription = subscription;
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
   */
  get subscribeTokenFn() {
    return this.#subscription.subscribeTokenFn;
  }

  set subscribeTokenFn(subscribeTokenFn) {
    this.#subscription.subscribeTokenFn = subscribeTokenFn;
  }

  /** As client.bind, for this channel. */
  bind(event, callback, { subscribeTokenFn } = {}) {
    return this.#client.bind(event, callback, { channel: this.name, subscribeTokenFn });
  }

  /** As client.unbind, for this channel. */
  unbind(event) {
    this.#client.unbind(event, { channel: this.name });
  }

  /**
   * As client.sendMessage, to this channel.
   * @param {string} event
   * @param {object} [options] as there
   * @returns {Promise<import("./acknowledgement.js").Outcome>}
   */
  sendMessage(event, options) {
    return this.#client.sendMessage(event, { ...options, channel: this.name });
  }
}

// A channel that also knows what it said before: its history, followers, and how many are here. Apart
// from Channel, so that who needs none of it need not load it.

import { Channel } from "./channel.js";
import { Follow } from "./follow.js";
import { checkRange, iterate, read } from "./history.js";
import { HttpApi } from "./http_api.js";
import { watchOccupancy } from "./occupancy.js";
import { checkCallback } from "./options.js";

export class FollowingChannel extends Channel {
  #core;
  #subscription;
  #http;

  /** Made by client.channels(name), one for each name. */
  constructor(client, core, name) {
    super(client, core, name);
    this.#core = core;
    this.#subscription = core.subscriptions.named(name);
    this.#http = new HttpApi(core.address, core.httpUrl, () => core.connection.active);
  }

  /**
   * The stored messages, within the token's history window: with `after` oldest first, from the
   * message after that one; else newest first. Subscribes while it runs, waits for that, and asks
   * again on another connection. Ends at once with `break` or return().
   * @param {import("./history.js").Range & {signal?: AbortSignal}} [range] signal: ends it, too
   * @returns {AsyncIterableIterator<import("./history.js").Message>} throws a ClientError:
   *   HISTORY_FAILED (its `cause` has `status` and `code`) or SUBSCRIBE_REFUSED
   * @throws {TypeError} for a mistake in the range
   */
  history({ signal, ...range } = {}) {
    checkRange(range);
    return iterate((end) => this.#read(range, end), signal);
  }

  /**
   * Tells each stored message once and in order, and what becomes of it, with what is missed while
   * the connection is away. Begins with the newest messages, or after `since`. Ends with stop(), or
   * as the channel's bindings do (unbind, clearBindings).
   * @param {import("./follow_options.js").FollowOptions} [options]
   * @returns {Follow}
   * @throws {TypeError} for a mistake in the options
   */
  follow(options) {
    const report = (error) => this.#core.report(error);
    const parts = { channel: this, subscription: this.#subscription, http: this.#http, report };
    return new Follow(parts, options);
  }

  /**
   * Calls back with how many subscribe to the channel: once subscribed, then with each change, at
   * most once a second. The token must grant `getInfo`. Call it before the channel's first bind: a
   * subscription without it is ended and made again, which others see on presence channels.
   * @param {function(number): void} callback
   * @returns {function(): void} ends it
   * @throws {TypeError}
   */
  occupancy(callback) {
    checkCallback(callback);
    return watchOccupancy(this, this.#subscription, callback);
  }

  async *#read(range, signal) {
    const binding = this.bind("hotsock.subscribed", () => {});
    const { sessions } = this.#subscription;
    try {
      yield* read({ channel: this.name, sessions, http: this.#http, signal }, range);
    } finally {
      binding.unbind();
    }
  }
}

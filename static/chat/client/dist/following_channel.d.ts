export class FollowingChannel extends Channel {
    /**
     * The stored messages, within the token's history window: with `after` oldest first, from the
     * message after that one; else newest first. Subscribes while it runs, waits for that, and asks
     * again on another connection. Ends at once with `break` or return().
     * @param {import("./history.js").Range & {signal?: AbortSignal}} [range] signal: ends it, too
     * @returns {AsyncIterableIterator<import("./history.js").Message>} throws a ClientError:
     *   HISTORY_FAILED (its `cause` has `status` and `code`) or SUBSCRIBE_REFUSED
     * @throws {TypeError} for a mistake in the range
     */
    history({ signal, ...range }?: import("./history.js").Range & {
        signal?: AbortSignal;
    }): AsyncIterableIterator<import("./history.js").Message>;
    /**
     * Tells each stored message once and in order, and what becomes of it, with what is missed while
     * the connection is away. Begins with the newest messages, or after `since`. Ends with stop(), or
     * as the channel's bindings do (unbind, clearBindings).
     * @param {import("./follow_options.js").FollowOptions} [options]
     * @returns {Follow}
     * @throws {TypeError} for a mistake in the options
     */
    follow(options?: import("./follow_options.js").FollowOptions): Follow;
    /**
     * Calls back with how many subscribe to the channel: once subscribed, then with each change, at
     * most once a second. The token must grant `getInfo`. Call it before the channel's first bind: a
     * subscription without it is ended and made again, which others see on presence channels.
     * @param {function(number): void} callback
     * @returns {function(): void} ends it
     * @throws {TypeError}
     */
    occupancy(callback: (arg0: number) => void): () => void;
    #private;
}
import { Channel } from "./channel.js";
import { Follow } from "./follow.js";

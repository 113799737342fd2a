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
    static Channel: typeof Channel;
    /**
     * @param {string | URL} url of the WebSocket, such as "wss://chat.example.org/v1"
     * @param {import("./options.js").Options} options
     * @throws {TypeError} for a mistake in either; names the field
     */
    constructor(url: string | URL, options: import("./options.js").Options);
    /** @returns {import("./states.js").ConnectionState} */
    get state(): import("./states.js").ConnectionState;
    /**
     * The credentials for the client HTTP API; null while not connected.
     * @returns {?{connectionId: string, connectionSecret: string, connectionExpiresAt: string}}
     */
    get activeConnection(): {
        connectionId: string;
        connectionSecret: string;
        connectionExpiresAt: string;
    } | null;
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
    bind<Name extends string | RegExp>(event: Name, callback: (received: import("./bindings.js").Received<Name>) => unknown, { channel, subscribeTokenFn }?: {
        channel?: string | undefined;
        subscribeTokenFn?: ((arg0: {
            channel: string;
            connectionId: string;
        }) => (string | Promise<string>)) | undefined;
    }): Binding;
    /**
     * Ends the bindings of that event (a RegExp: of an equal one): with a channel that channel's,
     * without one those without. A channel's last binding unsubscribes.
     * @param {string | RegExp} [event] left out: of all events
     * @param {{channel?: string}} [options]
     */
    unbind(event?: string | RegExp, { channel }?: {
        channel?: string;
    }): void;
    /** Ends all bindings, also of the client's own events; unsubscribes from all channels. */
    clearBindings(): void;
    /**
     * @param {string} name or alias
     * @returns {Channel} always the same one for a name; this alone subscribes to nothing
     * @throws {TypeError}
     */
    channels(name: string): Channel;
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
    sendMessage(event: string, { channel, data, key, ack, retry, ...schedule }?: SendOptions & {
        channel?: string;
    }): Promise<import("./acknowledgement.js").Outcome>;
    /**
     * Sends the text as it is. Waits until the client is connected, but for no subscription.
     * @param {string} text a client frame
     * @throws {TypeError}
     */
    sendRawMessage(text: string): void;
    /** Closes the connection and keeps it closed; bindings and waiting messages stay. */
    suspend(): void;
    /** Connects: after suspend(), after a stop for lack of a token, or without waiting any longer. */
    resume(): void;
    /** Closes the connection for ever, drops bindings and waiting messages. */
    terminate(): void;
    #private;
}
export type SendOptions = {
    /**
     * any JSON, up to 32 KiB; undefined: none
     */
    data?: unknown;
    /**
     * a storage key
     */
    key?: string | undefined;
    scheduleExpression?: string | undefined;
    scheduleExpressionTimezone?: string | undefined;
    /**
     * false: sent once at most, for what is not stored; true by default
     */
    retry?: boolean | undefined;
    /**
     * 16 to 64 of A-Z, a-z, 0-9, _ and -, random; by default a new one. That of
     * an earlier try, before the page was reloaded, stores the message once; at most 600 s later
     */
    ack?: string | undefined;
};
import { Binding } from "./bindings.js";
import { Channel } from "./channel.js";

export class Channel {
    /** Made by client.channels(name), one for each name. */
    constructor(client: any, subscription: any);
    /** @returns {string} as the application calls it: the real name or an alias */
    get name(): string;
    /**
     * Our own uid in this channel; from `hotsock.subscribed` on, kept while reconnecting.
     * @returns {?string}
     */
    get uid(): string | null;
    /** @returns {unknown} our own metadata in this channel; as uid */
    get umd(): unknown;
    /**
     * Who is here, in the order of joining; empty but on presence channels. While reconnecting, the
     * last that was known. Each change is a new array.
     * @returns {{uid: string, umd: unknown}[]}
     */
    get members(): {
        uid: string;
        umd: unknown;
    }[];
    /** @returns {boolean} whether the server has confirmed the subscription on this connection */
    get subscribed(): boolean;
    set subscribeTokenFn(subscribeTokenFn: (arg0: {
        channel: string;
        connectionId: string;
    }) => (string | Promise<string>));
    /**
     * Gives the subscribe token, where the connect token does not allow this channel. Asked at every
     * subscribing, and again (up to three times in a row) when it fails or the server says
     * `INVALID_SUBSCRIBE_TOKEN`; after that waiting messages go to `@@error`.
     * @type {function({channel: string, connectionId: string}): (string | Promise<string>)}
     */
    get subscribeTokenFn(): (arg0: {
        channel: string;
        connectionId: string;
    }) => (string | Promise<string>);
    /**
     * As client.bind, for this channel.
     * @param {string | RegExp} event
     * @param {(frame: import("./frames.js").Frame) => unknown} callback
     * @param {{subscribeTokenFn?: Channel["subscribeTokenFn"]}} [options]
     * @returns {import("./bindings.js").Binding}
     */
    bind(event: string | RegExp, callback: (frame: import("./frames.js").Frame) => unknown, { subscribeTokenFn }?: {
        subscribeTokenFn?: Channel["subscribeTokenFn"];
    }): import("./bindings.js").Binding;
    /**
     * As client.unbind, for this channel.
     * @param {string | RegExp} [event] left out: of all events
     */
    unbind(event?: string | RegExp): void;
    /** As client.sendMessage, to this channel. */
    sendMessage(event: any, options: any): void;
    #private;
}

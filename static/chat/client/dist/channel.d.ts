export class Channel {
    /** Made by client.channels(name), one for each name. */
    constructor(client: any, core: any, name: any);
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
    /**
     * As client.sendMessage, to this channel.
     * @param {string} event
     * @param {import("./client.js").SendOptions} [options]
     * @returns {Promise<import("./acknowledgement.js").Outcome>}
     */
    sendMessage(event: string, options?: import("./client.js").SendOptions): Promise<import("./acknowledgement.js").Outcome>;
    /**
     * We are typing: call it at each key. Tells the others at most each 1.5 s, and not at all while
     * not connected and subscribed. The token must let us publish the event, best without `store`.
     * @param {{event?: string}} [options] "is-typing" by default
     * @throws {TypeError}
     */
    typing({ event }?: {
        event?: string;
    }): void;
    /**
     * Calls back with the uids of the others who are typing, as that changes: each for 2 s after
     * their last sign of it, or until another event of theirs, such as their message. A binding: it
     * subscribes to the channel. At most 50 are listed.
     * @param {function(string[]): void} callback
     * @param {{event?: string}} [options] as of typing()
     * @returns {function(): void} ends it
     * @throws {TypeError}
     */
    onTyping(callback: (arg0: string[]) => void, { event }?: {
        event?: string;
    }): () => void;
    #private;
}

/** Made by channel.follow(). */
export class Follow {
    /**
     * @param {object} parts
     * @param {import("./channel.js").Channel} parts.channel
     * @param {import("./subscription.js").Subscription} parts.subscription
     * @param {import("./http_api.js").HttpApi} parts.http
     * @param {function(import("./errors.js").ClientError): void} parts.report
     * @param {import("./follow_options.js").FollowOptions} options
     * @throws {TypeError}
     */
    constructor(parts: {
        channel: import("./channel.js").Channel;
        subscription: import("./subscription.js").Subscription;
        http: import("./http_api.js").HttpApi;
        report: (arg0: import("./errors.js").ClientError) => void;
    }, options: import("./follow_options.js").FollowOptions);
    /**
     * Plain JSON to save, and to give as `since` later; null before anything is known. In a callback
     * it includes what that is told.
     * @returns {?import("./follow_options.js").FollowPosition}
     */
    get position(): import("./follow_options.js").FollowPosition | null;
    /** @returns {"waiting" | "catchingUp" | "live" | "stopped"} waiting: for the subscription */
    get state(): "waiting" | "catchingUp" | "live" | "stopped";
    /** Ends it, at once; where it was the channel's last binding, that unsubscribes. */
    stop(): void;
    #private;
}

export class Core {
    /**
     * @param {URL} address
     * @param {import("./options.js").Options} options
     */
    constructor(address: URL, options: import("./options.js").Options);
    connection: Connection;
    subscriptions: Subscriptions;
    bindings: Bindings;
    address: URL;
    httpUrl: string | URL | undefined;
    /** A binding was added. */
    bound({ channel }: {
        channel: any;
    }): void;
    /** Bindings may have been removed. */
    released(channelName: any): void;
    /**
     * @param {import("./outbox.js").Message} message
     * @returns {Promise<import("./acknowledgement.js").Outcome>}
     */
    send(message: import("./outbox.js").Message): Promise<import("./acknowledgement.js").Outcome>;
    /** Whether what is sent to the channel need not wait. */
    isReady(channelName: any): any;
    terminate(): void;
    /** To the log and to `@@error`, but for the failure of a callback that was bound to that. */
    report(error: any): void;
    /** Whether it is too late for a call; says so, since nothing else would. */
    isTerminated(name: any): boolean;
    #private;
}
import { Connection } from "./connection.js";
import { Subscriptions } from "./subscriptions.js";
import { Bindings } from "./bindings.js";

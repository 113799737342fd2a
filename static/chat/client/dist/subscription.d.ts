export class Subscription {
    /**
     * @param {string} name
     * @param {object} calls
     * @param {function(string): boolean} calls.isBound
     * @param {function(): (string | undefined)} calls.connectionId undefined: not connected
     * @param {function(string): void} calls.send
     * @param {function(): void} calls.flush sends the messages that need wait no longer
     * @param {function(string): void} calls.drop reports and forgets the messages for a channel
     * @param {function(ClientError): void} calls.report
     */
    constructor(name: string, calls: {
        isBound: (arg0: string) => boolean;
        connectionId: () => (string | undefined);
        send: (arg0: string) => void;
        flush: () => void;
        drop: (arg0: string) => void;
        report: (arg0: ClientError) => void;
    });
    /** @type {import("./states.js").SubscriptionState} */
    status: import("./states.js").SubscriptionState;
    requestNumber: number;
    membership: Membership;
    subscribeTokenFn: null;
    asks: Asks;
    sessions: Sessions;
    name: string;
    /** Whether a message for the channel should wait. */
    get isAwaited(): boolean;
    connected(): void;
    disconnected(): void;
    /** Somebody bound to the channel. */
    bound(): void;
    /**
     * Ends a subscription that lacks what is asked for by now, and makes it again from where it was.
     */
    renew(): void;
    /** The last binding has gone, and who asked for anything with it. */
    released(): void;
    answered(): void;
    /**
     * The server says that we are subscribed, for whatever reason.
     * @param {unknown} [data] of hotsock.subscribed; absent: it had said so before
     */
    confirmed(data?: unknown): void;
    /** The server says that we are not, or no longer. */
    ended(): void;
    /** `NOT_SUBSCRIBED`: we took it for granted, or wanted to end what was not there. */
    missed(): void;
    /** Calls it now or, while the server has the request to end it, where that is refused. */
    whenKept(join: any): void;
    /** The server did not unsubscribe us. */
    kept(): void;
    /** The server did not subscribe us; one of the codes of protocol.md section 17. */
    refused(code: any): void;
    #private;
}
import { Membership } from "./membership.js";
import { Asks } from "./asks.js";
import { Sessions } from "./session.js";
import { ClientError } from "./errors.js";

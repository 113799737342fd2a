/** @returns {import("./acknowledgement.js").Outcome} of what a terminated client is to send */
export function terminated(): import("./acknowledgement.js").Outcome;
/**
 * @typedef {object} Message
 * @property {string} text the frame
 * @property {string} [channel]
 * @property {string} [event]
 * @property {unknown} [data]
 * @property {string} [ack] of the frame; without one it is sent once, and no answer is waited for
 * @property {boolean} [retry] whether it may go out again
 */
export class Outbox {
    /**
     * @param {number} lifeMs how long a message may go out; below the 600 s for which the server
     *   remembers an `ack`
     * @param {object} calls
     * @param {function(): boolean} calls.isWritable whether anything can be sent
     * @param {function(string): void} calls.send
     * @param {function(string): boolean} calls.mustWait whether a channel takes no message yet
     * @param {function(string | undefined): ?string} calls.uidIn as whom we send to a channel
     * @param {function(Message, string, string): void} calls.lost told of each that was not sent and
     *   will not be: a code of ErrorCode, and why
     */
    constructor(lifeMs: number, calls: {
        isWritable: () => boolean;
        send: (arg0: string) => void;
        mustWait: (arg0: string) => boolean;
        uidIn: (arg0: string | undefined) => string | null;
        lost: (arg0: Message, arg1: string, arg2: string) => void;
    });
    /**
     * @param {Message} message
     * @returns {Promise<import("./acknowledgement.js").Outcome>} never rejects
     */
    add(message: Message): Promise<import("./acknowledgement.js").Outcome>;
    /** Sends what need not wait any longer. A send may call back into here. */
    flush(): void;
    /** @param {import("./frames.js").Frame} frame any */
    receive(frame: import("./frames.js").Frame): void;
    /**
     * What was sent and not answered may have been done or not.
     * @param {number} code of the close
     */
    disconnected(code: number): void;
    /** The channel refuses us. */
    drop(channelName: any): void;
    /** Nothing will be sent any more; the connection has ended. */
    terminate(): void;
    #private;
}
export type Message = {
    /**
     * the frame
     */
    text: string;
    channel?: string | undefined;
    event?: string | undefined;
    data?: unknown;
    /**
     * of the frame; without one it is sent once, and no answer is waited for
     */
    ack?: string | undefined;
    /**
     * whether it may go out again
     */
    retry?: boolean | undefined;
};

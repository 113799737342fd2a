/** @typedef {{text: string, channel?: string, event?: string, data?: unknown}} Message */
export class Outbox {
    /**
     * @param {object} calls
     * @param {function(): boolean} calls.isWritable whether anything can be sent
     * @param {function(string): void} calls.send
     * @param {function(string): boolean} calls.mustWait whether a channel takes no message yet
     */
    constructor(calls: {
        isWritable: () => boolean;
        send: (arg0: string) => void;
        mustWait: (arg0: string) => boolean;
    });
    /**
     * @param {Message} message
     * @returns {boolean} false: it can be neither sent nor kept
     */
    add(message: Message): boolean;
    /** Sends what need not wait any longer. A send may call back into here. */
    flush(): void;
    /** @returns {Message[]} those for the channel, which are not kept any longer */
    drop(channelName: any): Message[];
    #private;
}
export type Message = {
    text: string;
    channel?: string;
    event?: string;
    data?: unknown;
};

/**
 * @typedef {object} Reaction
 * @property {string} messageId
 * @property {string} reaction
 * @property {"add" | "remove"} action
 * @property {?string} uid
 * @property {unknown} umd
 */
export class Held {
    /**
     * @param {string} [id] of the newest message that the application knows
     * @param {Iterable<import("./history.js").Message>} [messages] those of them that are held
     */
    constructor(id?: string, messages?: Iterable<import("./history.js").Message>);
    /** @returns {boolean} whether no message is known, nor one that we must not tell of */
    get isBlank(): boolean;
    /** @returns {boolean} whether the message is news */
    add(message: any): boolean;
    /**
     * @param {Reaction} change
     * @returns {boolean} whether it is news; of messages that are not held, always
     */
    react({ messageId, reaction, action, uid, umd }: Reaction): boolean;
    remove(messageId: any): void;
    /** All messages up to that position are known; null: there are none. */
    settle(position: any): void;
    /** Messages up to that one are not ours to tell. */
    startAfter(id: any): void;
    /** The numbers began anew, so those of before say nothing. */
    forgetPositions(): void;
    /** Forgets what it holds; from the oldest of these messages on, all is to be told. */
    startWith(messages: any): void;
    /** @returns {boolean} whether a message of history was told of, or is older than all that was */
    knows(message: any): boolean;
    /** @returns {boolean} whether reading back may stop at this message */
    endsAt(message: any): boolean;
    /**
     * History as it is now.
     * @param {import("./history.js").Message[]} history oldest first, with expanded reactions, from
     *   the oldest message that is ours to tell
     * @returns {{deleted: string[], reactions: Reaction[], added: import("./history.js").Message[]}}
     */
    compare(history: import("./history.js").Message[]): {
        deleted: string[];
        reactions: Reaction[];
        added: import("./history.js").Message[];
    };
    #private;
}
export type Reaction = {
    messageId: string;
    reaction: string;
    action: "add" | "remove";
    uid: string | null;
    umd: unknown;
};

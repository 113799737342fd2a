/**
 * Tells who of the others types in a channel, as it changes.
 * @param {import("./channel.js").Channel} channel
 * @param {string} event
 * @param {function(string[]): void} callback
 * @param {function(unknown): void} failed with what the callback threw
 * @returns {function(): void} ends it
 */
export function watchTyping(channel: import("./channel.js").Channel, event: string, callback: (arg0: string[]) => void, failed: (arg0: unknown) => void): () => void;
export const TYPING: "is-typing";
/** Lets through at most one call each 1.5 s, for each event. */
export class TypingSignal {
    isDue(event: any): boolean;
    #private;
}
/** Who is typing; each for 2 s after their last sign of it, or until their message. */
export class TypingPeople {
    /** @param {function(string[]): void} changed told the new list: uids in order of beginning */
    constructor(changed: (arg0: string[]) => void);
    add(uid: any): void;
    remove(uid: any): void;
    /** Tells nothing more. */
    stop(): void;
    #private;
}

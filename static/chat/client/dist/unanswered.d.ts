/** @returns {number} bytes in memory, at most: up to two for a character */
export function sizeOf({ text }: {
    text: any;
}): number;
export class Unanswered {
    /** @param {import("./outbox.js").Message} entry beyond the bound, its `retry` becomes false */
    add(entry: import("./outbox.js").Message): void;
    /** @returns {import("./outbox.js").Message | undefined} the first one with that `ack` */
    find(ack: any): import("./outbox.js").Message | undefined;
    delete(entry: any): void;
    /** @returns {import("./outbox.js").Message[]} */
    all(): import("./outbox.js").Message[];
    #private;
}

export class Subscriptions {
    /** @param {object} calls as of Subscription */
    constructor(calls: object);
    /** @returns {Subscription} the one of that name, made where there is none */
    named(name: any): Subscription;
    /** @returns {boolean} whether a message for the channel should wait for its subscription */
    isAwaited(name: any): boolean;
    /** @returns {string | null | undefined} our own uid in it; undefined: not subscribed */
    uidIn(name: any): string | null | undefined;
    /** @returns {string[]} what a channel may be called in bindings */
    namesOf(realName: any): string[];
    connected(): void;
    disconnected(): void;
    terminated(): void;
    /** @param {import("./frames.js").Frame} frame any */
    receive(frame: import("./frames.js").Frame): void;
    #private;
}
import { Subscription } from "./subscription.js";

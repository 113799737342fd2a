/** Whether an event is the one wanted, or of the wanted kind. */
export function matches(wanted: any, event: any): any;
/**
 * What callbacks of the client's own events receive.
 * @typedef {{"@@connect": {type: string}, "@@disconnect": {code: number, reason: string},
 *   "@@error": ClientError, "@@message": {data: unknown}, "@@messageSent": string}} ClientEvents
 */
/**
 * What callbacks of an event receive.
 * @template {string | RegExp} Name
 * @typedef {Name extends keyof ClientEvents ? ClientEvents[Name] : import("./frames.js").Frame
 *   } Received
 */
/** A callback bound to an event; made by bind(). */
export class Binding {
    /**
     * @param {string | RegExp} event
     * @param {function(any): void} callback
     * @param {?import("./channel.js").Channel} channel
     * @param {function(Binding): void} remove
     */
    constructor(event: string | RegExp, callback: (arg0: any) => void, channel: import("./channel.js").Channel | null, remove: (arg0: Binding) => void);
    /** @type {function(): void} told once it has ended, in whatever way */
    ended: () => void;
    event: string | RegExp;
    callback: (arg0: any) => void;
    /** @type {?import("./channel.js").Channel} null when bound without a channel */
    channel: import("./channel.js").Channel | null;
    /** Ends it, at once; the channel's last one unsubscribes. Calling it again does nothing. */
    unbind(): void;
    #private;
}
export class Bindings {
    /** @param {function(ClientError): void} report of callbacks that threw */
    constructor(report: (arg0: ClientError) => void);
    add(binding: any): void;
    /** @returns {boolean} whether it was there */
    remove(binding: any): boolean;
    /**
     * @param {string | RegExp | undefined} event undefined: all of the channel
     * @param {string} [channelName]
     * @returns {boolean} whether there were any
     */
    removeMatching(event: string | RegExp | undefined, channelName?: string): boolean;
    has(channelName: any): boolean;
    clear(): void;
    /**
     * To the channel's own bindings first, then to those without a channel, each in order of binding.
     * @param {import("./frames.js").Frame} frame
     * @param {string[]} names of the channel: the real one, and the alias in use
     */
    dispatch(frame: import("./frames.js").Frame, names: string[]): void;
    /** A lifecycle event; a frame of the same name can not pass for it. */
    emit(event: any, value: any): void;
    #private;
}
/**
 * What callbacks of the client's own events receive.
 */
export type ClientEvents = {
    "@@connect": {
        type: string;
    };
    "@@disconnect": {
        code: number;
        reason: string;
    };
    "@@error": ClientError;
    "@@message": {
        data: unknown;
    };
    "@@messageSent": string;
};
/**
 * What callbacks of an event receive.
 */
export type Received<Name extends string | RegExp> = Name extends keyof ClientEvents ? ClientEvents[Name] : import("./frames.js").Frame;
import { ClientError } from "./errors.js";

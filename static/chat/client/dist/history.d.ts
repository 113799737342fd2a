/**
 * A stored message.
 * @typedef {object} Message
 * @property {string} id a ULID
 * @property {string} event
 * @property {string} channel the real name
 * @property {unknown} data any JSON
 * @property {{uid: ?string, umd: unknown}} [meta] who sent it; the server API leaves none
 * @property {number} [position] its place in the order of the channel's changes (section 19)
 * @property {Object<string, {count: number, items?: {uid: string, umd?: unknown}[]}>} [reactions]
 *   of a message that was read from history
 */
/**
 * What to read, and how much of it.
 * @typedef {object} Range
 * @property {string} [after] an id: oldest first, from the message after it
 * @property {string} [before] an id: up to the message before it; without `after`: newest first
 * @property {number} [limit] of messages in all
 * @property {boolean} [expandReactions] who reacted, beside how many
 */
/**
 * @param {object} source
 * @param {string} source.channel
 * @param {import("./session.js").Sessions} source.sessions
 * @param {import("./http_api.js").HttpApi} source.http
 * @param {AbortSignal} source.signal ends the reading
 * @param {number} [source.maxAttempts]
 * @param {function(HttpError): void} [source.failed] told of each failure that another try follows
 * @param {Range} range
 * @returns {AsyncGenerator<Message, void>}
 * @throws {ClientError} HISTORY_FAILED or SUBSCRIBE_REFUSED; what the signal aborts with
 */
export function read(source: {
    channel: string;
    sessions: import("./session.js").Sessions;
    http: import("./http_api.js").HttpApi;
    signal: AbortSignal;
    maxAttempts?: number | undefined;
    failed?: ((arg0: HttpError) => void) | undefined;
}, { after, before, limit, expandReactions }: Range): AsyncGenerator<Message, void>;
/** @returns {ClientError} */
export function failure(channel: any, cause: any): ClientError;
/**
 * What channel.history() gives. Ends at once: a call under way is given up.
 * @param {function(AbortSignal): AsyncGenerator<Message, void>} begin
 * @param {AbortSignal} [outer] ends it as well
 * @returns {AsyncIterableIterator<Message>}
 */
export function iterate(begin: (arg0: AbortSignal) => AsyncGenerator<Message, void>, outer?: AbortSignal): AsyncIterableIterator<Message>;
/** @throws {TypeError} */
export function checkRange({ after, before, limit, expandReactions }: {
    after: any;
    before: any;
    limit: any;
    expandReactions: any;
}): void;
/**
 * A stored message.
 */
export type Message = {
    /**
     * a ULID
     */
    id: string;
    event: string;
    /**
     * the real name
     */
    channel: string;
    /**
     * any JSON
     */
    data: unknown;
    /**
     * who sent it; the server API leaves none
     */
    meta?: {
        uid: string | null;
        umd: unknown;
    } | undefined;
    /**
     * its place in the order of the channel's changes (section 19)
     */
    position?: number | undefined;
    /**
     * of a message that was read from history
     */
    reactions?: {
        [x: string]: {
            count: number;
            items?: {
                uid: string;
                umd?: unknown;
            }[];
        };
    } | undefined;
};
/**
 * What to read, and how much of it.
 */
export type Range = {
    /**
     * an id: oldest first, from the message after it
     */
    after?: string | undefined;
    /**
     * an id: up to the message before it; without `after`: newest first
     */
    before?: string | undefined;
    /**
     * of messages in all
     */
    limit?: number | undefined;
    /**
     * who reacted, beside how many
     */
    expandReactions?: boolean | undefined;
};
import { HttpError } from "./http_api.js";
import { ClientError } from "./errors.js";

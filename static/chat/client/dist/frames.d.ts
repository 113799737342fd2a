/** @returns {string} without the fields that are undefined */
export function encode(frame: any): string;
/** Whether a text that encode() made has no half of a character; servers refuse one. */
export function isWellFormed(text: any): boolean;
/** @returns {number} bytes that it takes as a frame; Infinity where that is too many in any case */
export function frameBytes(text: any): number;
/**
 * @param {unknown} text
 * @returns {?Frame} null for what is no frame
 */
export function decode(text: unknown): Frame | null;
/** Whether value has fields that can be read. */
export function isObject(value: any): boolean;
/**
 * @typedef {object} Frame what callbacks receive
 * @property {string} event
 * @property {string} [channel] the real name, also where the client uses an alias
 * @property {string} [key] of storage entries
 * @property {unknown} [data] any JSON; null where a storage entry is not set
 * @property {?{uid: ?string, umd: unknown}} [meta] who sent it, or wrote the storage entry last; the
 *   server API leaves none
 * @property {string} [id] of messages; a ULID
 * @property {number} [position] of the channel's changes, this one's number (section 19)
 * @property {{code: string, message: string, event: string, ack?: string}} [error] on
 *   `hotsock.error`; ack: of the message that was refused
 */
export const HEARTBEAT: string;
export const PING: string;
/** The largest frame that a server takes; it closes the connection for a larger one. */
export const MAX_FRAME_BYTES: number;
/**
 * what callbacks receive
 */
export type Frame = {
    event: string;
    /**
     * the real name, also where the client uses an alias
     */
    channel?: string | undefined;
    /**
     * of storage entries
     */
    key?: string | undefined;
    /**
     * any JSON; null where a storage entry is not set
     */
    data?: unknown;
    /**
     * who sent it, or wrote the storage entry last; the
     * server API leaves none
     */
    meta?: {
        uid: string | null;
        umd: unknown;
    } | null | undefined;
    /**
     * of messages; a ULID
     */
    id?: string | undefined;
    /**
     * of the channel's changes, this one's number (section 19)
     */
    position?: number | undefined;
    /**
     * on
     * `hotsock.error`; ack: of the message that was refused
     */
    error?: {
        code: string;
        message: string;
        event: string;
        ack?: string;
    } | undefined;
};

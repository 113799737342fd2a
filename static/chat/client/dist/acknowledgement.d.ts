/**
 * What became of a message.
 * - `sent`: the server has done it. `id` is the message's; there is none for reactions, storage
 *   entries, schedules and events that the server does not acknowledge. `position` is its number in
 *   the channel, where it is stored; `scheduleArn` names a schedule; `repeated`: the server had it
 *   already, from an earlier try.
 * - `failed`: `code` is one of the server's (protocol.md section 17) or of ErrorCode. It was not
 *   done, but for `UNACKNOWLEDGED`: then nobody here knows.
 * @typedef {{status: "sent", id?: string, position?: number, scheduleArn?: string,
 *   repeated?: true} | {status: "failed", code: string, message: string}} Outcome
 */
/** Whether the server acknowledges an event: messages, and two of its own. */
export function isAcknowledged(event: any): boolean;
/** @returns {string} 32 hexadecimal digits, for one operation */
export function newAck(): string;
/** @throws {TypeError} */
export function checkAck(ack: any): void;
/** Whether a frame comes from a server that has the extensions of section 19. */
export function showsAcknowledging({ event, data }: {
    event: any;
    data: any;
}): boolean;
/**
 * @param {import("./frames.js").Frame} frame any
 * @returns {?{ack: unknown, outcome: Outcome}} null: it answers no message
 */
export function readAnswer({ event, data, error }: import("./frames.js").Frame): {
    ack: unknown;
    outcome: Outcome;
} | null;
/** @returns {Outcome} */
export function failed(code: any, message: any): Outcome;
/**
 * What became of a message.
 * - `sent`: the server has done it. `id` is the message's; there is none for reactions, storage
 *   entries, schedules and events that the server does not acknowledge. `position` is its number in
 *   the channel, where it is stored; `scheduleArn` names a schedule; `repeated`: the server had it
 *   already, from an earlier try.
 * - `failed`: `code` is one of the server's (protocol.md section 17) or of ErrorCode. It was not
 *   done, but for `UNACKNOWLEDGED`: then nobody here knows.
 */
export type Outcome = {
    status: "sent";
    id?: string;
    position?: number;
    scheduleArn?: string;
    repeated?: true;
} | {
    status: "failed";
    code: string;
    message: string;
};

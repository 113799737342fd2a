/**
 * What somebody wants of each subscription.
 * @typedef {object} Ask
 * @property {boolean} [occupancy] to hear how many subscribe
 * @property {?{position?: number, epoch?: string}} [since] to hear what changed since then
 */
export class Asks {
    /** @param {Ask} ask for the next request */
    add(ask: Ask): void;
    delete(ask: any): void;
    clear(): void;
    /** Another connection may grant more, and continues nothing. */
    connected(): void;
    /** @returns {boolean} whether occupancy is wanted and was not asked for */
    get lackOccupancy(): boolean;
    /** The next request continues this session, which will have ended by then. */
    resume(session: any): void;
    /**
     * For a request that is made now. It recovers from the earliest position.
     * @param {string} [token]
     * @returns {object | undefined}
     */
    data(token?: string): object | undefined;
    /** The server did what was asked. */
    answered(): void;
    /** The server had subscribed us already: nothing that was asked for was heard. */
    unheard(): void;
    /** @returns {boolean} whether that is why we were refused; the next request will not ask */
    denied(code: any): boolean;
    /**
     * @param {import("./session.js").Session} session
     * @param {?{position?: number, epoch?: string}} position
     * @returns {?number} how many frames follow hotsock.subscribed that bring whoever was there up to
     *   date; null: history must be read
     */
    replayed({ data, epoch }: import("./session.js").Session, position: {
        position?: number;
        epoch?: string;
    } | null): number | null;
    #private;
}
/**
 * What somebody wants of each subscription.
 */
export type Ask = {
    /**
     * to hear how many subscribe
     */
    occupancy?: boolean | undefined;
    /**
     * to hear what changed since then
     */
    since?: {
        position?: number;
        epoch?: string;
    } | null | undefined;
};

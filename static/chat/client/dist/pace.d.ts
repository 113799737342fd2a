/** Waits are in milliseconds. */
export class Pace {
    /** @param {number} maxTokenAttempts in a row */
    constructor(maxTokenAttempts: number);
    /** A socket could not be made, or there were no more attempts to get a token. */
    failed(): any;
    /**
     * A socket has ended.
     * @param {number} code of the close
     * @param {boolean} wasConnected
     */
    closed(code: number, wasConnected: boolean): any;
    /** @returns {?number} null: no attempt to get a token is left */
    tokenFailed(): number | null;
    /** There is a token, or the attempts to get one are counted anew. */
    resetToken(): void;
    /** A connection has lasted: earlier failures are forgotten. */
    reset(): void;
    #private;
}

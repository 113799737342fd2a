export class Backoff {
    /** @param {number} [maxAttempts] in a row, the first one included */
    constructor(maxAttempts?: number);
    /**
     * Counts a failed attempt.
     * @param {{atOnce?: boolean}} [options] atOnce: the first failure costs no wait
     * @returns {?number} milliseconds to wait, 0 to 30,000; null when no attempt is left
     */
    next({ atOnce }?: {
        atOnce?: boolean;
    }): number | null;
    reset(): void;
    #private;
}

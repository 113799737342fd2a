export class Backoff {
    /** @param {number} [maxAttempts] in a row, the first one included */
    constructor(maxAttempts?: number);
    /**
     * Counts a failed attempt.
     * @param {object} [options]
     * @param {boolean} [options.atOnce] the first failure costs no wait
     * @param {number} [options.ceilingMs] the longest wait, 30,000 by default
     * @returns {?number} milliseconds to wait; null when no attempt is left
     */
    next({ atOnce, ceilingMs }?: {
        atOnce?: boolean | undefined;
        ceilingMs?: number | undefined;
    }): number | null;
    reset(): void;
    #private;
}

// How long to wait before the next try: exponential, with full jitter (any time from zero to the
// ceiling), so that the clients of a restarted server do not come back as one crowd.

const FIRST_CEILING_MS = 1000;
const MAX_CEILING_MS = 30_000;

export class Backoff {
  #maxAttempts;
  #failures = 0;

  /** @param {number} [maxAttempts] in a row, the first one included */
  constructor(maxAttempts = Infinity) {
    this.#maxAttempts = maxAttempts;
  }

  /**
   * Counts a failed attempt.
   * @param {object} [options]
   * @param {boolean} [options.atOnce] the first failure costs no wait
   * @param {number} [options.ceilingMs] the longest wait, 30,000 by default
   * @returns {?number} milliseconds to wait; null when no attempt is left
   */
  next({ atOnce = false, ceilingMs = MAX_CEILING_MS } = {}) {
    const earlier = this.#failures++;
    if (this.#failures >= this.#maxAttempts) return null;
    if (atOnce && earlier === 0) return 0;
    return Math.random() * Math.min(ceilingMs, FIRST_CEILING_MS * 2 ** earlier);
  }

  reset() {
    this.#failures = 0;
  }
}

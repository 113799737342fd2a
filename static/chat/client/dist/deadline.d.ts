/**
 * @param {number} milliseconds
 * @param {AbortSignal[]} signals
 * @returns {{signal: AbortSignal, release: function(): void}} a signal that aborts after that time
 *   or with the first of the signals; release() when it is needed no longer
 */
export function deadline(milliseconds: number, signals: AbortSignal[]): {
    signal: AbortSignal;
    release: () => void;
};
/**
 * @param {number} milliseconds
 * @param {AbortSignal[]} signals end it early
 * @returns {Promise<void>}
 */
export function pause(milliseconds: number, signals: AbortSignal[]): Promise<void>;
/**
 * @template T
 * @param {function(): Promise<T>} begin
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejects with the signal's reason once that aborts
 */
export function unlessAborted<T>(begin: () => Promise<T>, signal: AbortSignal): Promise<T>;

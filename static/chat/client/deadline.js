// A time limit that ends early when something else ends.

/**
 * @param {number} milliseconds
 * @param {AbortSignal[]} signals
 * @returns {{signal: AbortSignal, release: function(): void}} a signal that aborts after that time
 *   or with the first of the signals; release() when it is needed no longer
 */
export function deadline(milliseconds, signals) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, milliseconds);
  for (const signal of signals) {
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
  }
  const release = () => {
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener("abort", abort);
  };
  return { signal: controller.signal, release };
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal[]} signals end it early
 * @returns {Promise<void>}
 */
export async function pause(milliseconds, signals) {
  const { signal, release } = deadline(milliseconds, signals);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  release();
}

/**
 * @template T
 * @param {function(): Promise<T>} begin
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejects with the signal's reason once that aborts
 */
export async function unlessAborted(begin, signal) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const release = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    begin().then(resolve, reject).then(release);
  });
}

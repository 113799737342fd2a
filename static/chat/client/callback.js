// Calls what the application gave us. Nothing that it throws gets any further.

/**
 * @param {function(unknown): unknown} callback
 * @param {unknown} value
 * @param {function(unknown): void} failed with what it threw, or what its promise rejected with
 */
export function call(callback, value, failed) {
  try {
    const result = callback(value);
    if (typeof result?.then === "function") result.then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}

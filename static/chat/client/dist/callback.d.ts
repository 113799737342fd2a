/**
 * @param {function(unknown): unknown} callback
 * @param {unknown} value
 * @param {function(unknown): void} failed with what it threw, or what its promise rejected with
 */
export function call(callback: (arg0: unknown) => unknown, value: unknown, failed: (arg0: unknown) => void): void;

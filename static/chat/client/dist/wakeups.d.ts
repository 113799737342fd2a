/**
 * @param {function(): void} wake
 * @returns {function(): void} stops listening
 */
export function listenForWakeups(wake: () => void): () => void;

/** Whether somebody may be looking at the page; false where there is none. */
export function isVisible(): boolean;
/**
 * When a waiting client should not wait any longer: the network is back, or somebody looks at the
 * page again.
 * @param {function(): void} wake
 * @param {function(): void} [lose] the network is gone
 * @returns {function(): void} stops listening
 */
export function listenForWakeups(wake: () => void, lose?: () => void): () => void;

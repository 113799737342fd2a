// What the page knows of its network and of who looks at it. The only place that touches a document,
// and only where there is one.

/** Whether somebody may be looking at the page; false where there is none. */
export function isVisible() {
  return globalThis.document?.visibilityState === "visible";
}

/**
 * When a waiting client should not wait any longer: the network is back, or somebody looks at the
 * page again.
 * @param {function(): void} wake
 * @param {function(): void} [lose] the network is gone
 * @returns {function(): void} stops listening
 */
export function listenForWakeups(wake, lose = () => {}) {
  const { document } = globalThis;
  const onVisibility = () => isVisible() && wake();
  globalThis.addEventListener?.("online", wake);
  globalThis.addEventListener?.("offline", lose);
  document?.addEventListener?.("visibilitychange", onVisibility);
  return () => {
    globalThis.removeEventListener?.("online", wake);
    globalThis.removeEventListener?.("offline", lose);
    document?.removeEventListener?.("visibilitychange", onVisibility);
  };
}

// When a waiting client should not wait any longer: the network is back, or somebody looks at the
// page again. The only place that touches a document, and only where there is one.

/**
 * @param {function(): void} wake
 * @returns {function(): void} stops listening
 */
export function listenForWakeups(wake) {
  const { document } = globalThis;
  const onVisibility = () => document.visibilityState === "visible" && wake();
  globalThis.addEventListener?.("online", wake);
  document?.addEventListener?.("visibilitychange", onVisibility);
  return () => {
    globalThis.removeEventListener?.("online", wake);
    document?.removeEventListener?.("visibilitychange", onVisibility);
  };
}

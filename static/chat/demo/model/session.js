// Which chat this page is in: asked for by the address's hash, else by what the browser kept, else
// made by the server; kept in both. No DOM but the address.

import { shared } from "./storage.js";

const KEY = "hotsock-chat-session";

/** The session id that the address or the browser asks for, if any. */
export function wantedSession() {
  return location.hash.slice(1) || shared.get(KEY) || undefined;
}

/** Keeps the session. `isNew`: the Back button leads to the one before. */
export function keepSession(id, isNew) {
  shared.set(KEY, id);
  if (location.hash === `#${id}`) return;
  if (isNew) history.pushState(null, "", `#${id}`);
  else history.replaceState(null, "", `#${id}`);
}

// What the page says where something does not work: one plain sentence each. Pure.

/** The connection's state in one word; where it is not as it should be, a notice says why. */
export const PHASES = {
  connecting: "Connecting",
  live: "Connected",
  reconnecting: "Reconnecting",
  offline: "Offline",
  failed: "Offline",
};

export const KEPT = "What you write is kept and goes out once connected.";
export const TRYING = "Trying again…";
export const DRAFT_KEPT = "What you write is kept.";
export const NOT_OPEN = "This can be sent once the chat is open. It stays here until then.";
export const LOST = "The connection was lost. Connecting again…";
export const OFFLINE = "This device is offline.";
export const SWITCHED_OFF = "You switched this window offline.";
export const NOT_LOADED = "This part of the page could not be loaded. Reload the page to try again.";
export const REFUSED = "The server did not accept the connection.";
export const DENIED = "The server does not let this person into the chat.";
export const UNREACHABLE = "The server cannot be reached.";
export const UNREADABLE = "The server gave an answer that makes no sense.";
export const NO_LINK = "There is no chat to link to yet.";
export const LINK_NOT_VALID = "That link was not valid, so this is a new chat.";
export const TOO_LONG = "This message is too long: at most 32 KiB fit into one.";
export const UNCERTAIN = "It is not known whether this arrived.";
export const COPIED = "Another tab may be sending this.";
export const NOT_NOW = "Reactions work again once connected.";

const REFUSALS = {
  DATA_TOO_LARGE: TOO_LONG,
  RATE_LIMITED: "Too many messages at once.",
  SERVICE_UNAVAILABLE: "The server could not store this just now.",
  PUBLISH_PERMISSION_DENIED: "The server does not allow this message.",
  SUBSCRIBE_REFUSED: DENIED,
  MESSAGE_NOT_FOUND: "That message is no longer there.",
  REACT_PERMISSION_DENIED: "The server does not allow this reaction.",
};

/** Why the server refused, from its error code; a code that is not known here is told as it is. */
export const refusal = (code) => REFUSALS[code] ?? `The server refused this (${code}).`;

const STATUSES = {
  404: "This server does not offer the demo.",
  429: "The server is busy.",
  503: "The server is busy.",
};

/** Why an HTTP call failed, from its status. */
export const statusWords = (status) =>
  STATUSES[status] ?? `The server has a problem (error ${status}).`;

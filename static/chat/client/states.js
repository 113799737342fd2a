// The states that a connection and a subscription can be in, and what follows from them alone.

/**
 * - `idle`: lazy, and not needed yet
 * - `connecting`: from asking for a token to `hotsock.connected`
 * - `connected`
 * - `waiting`: for the time of the next try, or a wake-up
 * - `suspended`: by suspend(), until resume()
 * - `stopped`: never connected, and there is no token to be had; until resume()
 * - `terminated`: for ever
 * @typedef {"idle" | "connecting" | "connected" | "waiting" | "suspended" | "stopped"
 *   | "terminated"} ConnectionState
 */

/** Which states each cause to connect leads out of; in the others it changes nothing. */
export const CONNECTS_FROM = Object.freeze({
  need: new Set(["idle"]),
  retry: new Set(["waiting"]),
  wakeup: new Set(["waiting"]),
  resume: new Set(["idle", "waiting", "suspended", "stopped"]),
});

/**
 * - `none`: not asked for on this connection
 * - `preparing`: waits for subscribeTokenFn, or for the time of the next try
 * - `pending`: the server has the request
 * - `subscribed`
 * - `leaving`: the server has the request to end it
 * - `refused`: until the next connection or bind
 * @typedef {"none" | "preparing" | "pending" | "subscribed" | "leaving" | "refused"
 *   } SubscriptionState
 */

/** Messages for a channel that is bound wait in these. */
export const SUBSCRIBING = new Set(["none", "preparing", "pending", "leaving"]);

/** The server has confirmed the subscription, and not its end. */
export const HAS_SESSION = new Set(["subscribed", "leaving"]);

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
export const CONNECTS_FROM: Readonly<{
    need: Set<string>;
    retry: Set<string>;
    wakeup: Set<string>;
    resume: Set<string>;
}>;
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
export const SUBSCRIBING: Set<string>;
/** The server has confirmed the subscription, and not its end. */
export const HAS_SESSION: Set<string>;
/**
 * - `idle`: lazy, and not needed yet
 * - `connecting`: from asking for a token to `hotsock.connected`
 * - `connected`
 * - `waiting`: for the time of the next try, or a wake-up
 * - `suspended`: by suspend(), until resume()
 * - `stopped`: never connected, and there is no token to be had; until resume()
 * - `terminated`: for ever
 */
export type ConnectionState = "idle" | "connecting" | "connected" | "waiting" | "suspended" | "stopped" | "terminated";
/**
 * - `none`: not asked for on this connection
 * - `preparing`: waits for subscribeTokenFn, or for the time of the next try
 * - `pending`: the server has the request
 * - `subscribed`
 * - `leaving`: the server has the request to end it
 * - `refused`: until the next connection or bind
 */
export type SubscriptionState = "none" | "preparing" | "pending" | "subscribed" | "leaving" | "refused";

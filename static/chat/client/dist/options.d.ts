/**
 * @param {object} fields by name: the default, what is valid, and that in words
 * @param {object} given null counts as absent; unknown fields are ignored
 * @returns {object} complete
 * @throws {TypeError}
 */
export function readFields(fields: object, given: object): object;
/**
 * @param {string | URL} url of the WebSocket; on a page it may be relative to it
 * @returns {URL} ws: or wss:
 * @throws {TypeError}
 */
export function readAddress(url: string | URL): URL;
/** @throws {TypeError} that calls the value by its label */
export function checkName(label: any, value: any): void;
/** @throws {TypeError} */
export function checkCallback(callback: any): void;
/** @throws {TypeError} */
export function checkBinding(event: any, callback: any, subscribeTokenFn: any): void;
export function isFunction(value: any): boolean;
export function isCount(value: any): boolean;
export function readOptions(given: Partial<Options>): Options;
export type Options = {
    /**
     * gives a connect token; called
     * before each attempt to connect, so the token may be short-lived and for a single use
     */
    connectTokenFn: () => (string | Promise<string>);
    /**
     * 1 or more, Infinity too; 2 by default. How many
     * times in a row connectTokenFn may throw, reject, give no string or take more than 30 s. After
     * that a client that never connected is `stopped` until resume(); one that did goes on, after a
     * wait as for a lost connection, until terminate() or suspend()
     */
    connectTokenFnMaxAttempts?: number | undefined;
    /**
     * called each time the attempts are used
     * up; `cause` holds what connectTokenFn threw
     */
    connectTokenErrorFn?: ((arg0: Error) => void) | undefined;
    /**
     * the class to connect with, such as that of
     * the npm package ws; by default the platform's own, so Node needs it below version 22
     */
    WebSocket?: (new (url: string) => object) | undefined;
    /**
     * 1 to 600, at or below the token's
     * `heartbeatTimeout`; 0: no heartbeats; absent: two thirds of what the token says, none where it
     * says nothing. Each is sent up to a tenth earlier, never later
     */
    heartbeatIntervalSeconds?: number | undefined;
    /**
     * of the client HTTP API, up to `/connection/`; by default
     * beside the WebSocket: `https://chat.example.org/` for `wss://chat.example.org/v1`
     */
    httpUrl?: string | URL | undefined;
    /**
     * connect with the first bind of a channel, message sent or
     * resume(); by default at once
     */
    lazyConnection?: boolean | undefined;
    /**
     * "warn" by default
     */
    logLevel?: import("./logger.js").LogLevel | undefined;
    /**
     * 1 to 540, 300 by default: how long a message may wait to
     * be sent, or sent again; then it has failed
     */
    sendTimeoutSeconds?: number | undefined;
};

export type ErrorCode = string;
/** @enum {string} */
export const ErrorCode: Readonly<{
    /** A bound callback threw or rejected; `cause` is what it threw. */
    CALLBACK_FAILED: "CALLBACK_FAILED";
    /** connectTokenFn gave no token, connectTokenFnMaxAttempts times in a row. */
    CONNECT_TOKEN_FAILED: "CONNECT_TOKEN_FAILED";
    /** A message is larger than the server takes (128 KiB as a frame), and was dropped. */
    DATA_TOO_LARGE: "DATA_TOO_LARGE";
    /** A message waited longer than sendTimeoutSeconds, and was dropped; as QUEUE_FULL. */
    EXPIRED: "EXPIRED";
    /** The socket did not get as far as `hotsock.connected` in time; the client tries again. */
    HANDSHAKE_TIMEOUT: "HANDSHAKE_TIMEOUT";
    /** A channel's history could not be read; `cause` says why. A follower tries again. */
    HISTORY_FAILED: "HISTORY_FAILED";
    /** The server sent what is no frame; it was ignored. */
    INVALID_FRAME: "INVALID_FRAME";
    /** A message holds half a character (a lone surrogate), as a cut text may, and was dropped. */
    INVALID_MESSAGE: "INVALID_MESSAGE";
    /** Too much waits to be sent; the message named by `channel`, `event` and `data` was dropped. */
    QUEUE_FULL: "QUEUE_FULL";
    /** The WebSocket failed or was refused; `cause` is its event. The client tries again. */
    SOCKET_FAILED: "SOCKET_FAILED";
    /** A ping got no answer: the connection is dead. The client connects anew. */
    SOCKET_SILENT: "SOCKET_SILENT";
    /** The channel refused us; the waiting message in `event` and `data` was dropped. */
    SUBSCRIBE_REFUSED: "SUBSCRIBE_REFUSED";
    /** subscribeTokenFn gave no token for `channel`, several times in a row. */
    SUBSCRIBE_TOKEN_FAILED: "SUBSCRIBE_TOKEN_FAILED";
    /** terminate() was called before the message could be sent; only an outcome of sendMessage. */
    TERMINATED: "TERMINATED";
    /**
     * The message was sent, but no answer came: it may have arrived or not; only an outcome of
     * sendMessage.
     */
    UNACKNOWLEDGED: "UNACKNOWLEDGED";
}>;
/** What `@@error` callbacks receive. */
export class ClientError extends Error {
    /**
     * @param {ErrorCode} code
     * @param {string} message one plain sentence, without tokens or secrets
     * @param {{cause?: unknown, channel?: string, event?: string, data?: unknown}} [details]
     */
    constructor(code: ErrorCode, message: string, { cause, channel, event, data }?: {
        cause?: unknown;
        channel?: string;
        event?: string;
        data?: unknown;
    });
    /** Like the WebSocket's own error events, so that a callback may tell events apart. */
    type: string;
    code: string;
    channel: string | undefined;
    event: string | undefined;
    data: unknown;
}

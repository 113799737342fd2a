export class Socket {
    /**
     * @param {WebSocket} webSocket that has just been made
     * @param {number} heartbeatSeconds 0: no heartbeats
     * @param {SocketListener} listener
     */
    constructor(webSocket: WebSocket, heartbeatSeconds: number, listener: SocketListener);
    /** Whether it was ever open. */
    get opened(): boolean;
    /** Where it is writable; otherwise nothing happens. */
    send(text: any): void;
    /** @returns {boolean} not before `hotsock.connected`, and not any more once closing begins */
    get writable(): boolean;
    /** Pings where that makes sense. */
    probe(): void;
    /** Ends it as a broken connection, where it was established. */
    lose(reason: any): void;
    /** Closes it without waiting for its end: on a dead network that takes a minute. */
    abandon(): void;
    #private;
}
export type SocketListener = {
    opened: (arg0: Event) => void;
    /**
     * each message, frame or not
     */
    received: (arg0: MessageEvent) => void;
    /**
     * with the credentials and our uid; before
     * that frame itself
     */
    established: (arg0: object, arg1: string | null) => void;
    frame: (arg0: import("./frames.js").Frame) => void;
    sent: (arg0: string) => void;
    failed: (arg0: ClientError) => void;
    ended: (arg0: {
        code: number;
        reason: string;
    }) => void;
};
import { ClientError } from "./errors.js";

export class Connection {
    /**
     * @param {URL} address
     * @param {import("./options.js").Options} options
     * @param {object} listener a SocketListener (`ended`: of sockets that had opened) that also has
     *   `tokenless(ClientError)`
     */
    constructor(address: URL, options: import("./options.js").Options, listener: object);
    uid: null;
    /** @returns {import("./states.js").ConnectionState} */
    get state(): import("./states.js").ConnectionState;
    get active(): null;
    get writable(): any;
    send(text: any): void;
    /** @param {"need" | "retry" | "wakeup" | "resume"} cause */
    connect(cause: "need" | "retry" | "wakeup" | "resume"): void;
    /** The network is back or somebody looks: no more waiting, and no trust in a silent socket. */
    wake(): void;
    /** The network is gone: so is what was connected, whatever the socket says. */
    lose(): void;
    /** @param {"suspended" | "terminated"} state */
    close(state: "suspended" | "terminated"): void;
    #private;
}

export class Liveness {
    /**
     * @param {number} heartbeatSeconds 0: no heartbeats
     * @param {{send: function(string): void, dead: function(): void}} calls
     */
    constructor(heartbeatSeconds: number, { send, dead }: {
        send: (arg0: string) => void;
        dead: () => void;
    });
    start(): void;
    /** Any frame is a sign of life. */
    heard(): void;
    /** Pings now, unless a ping waits for its answer already. */
    probe(): void;
    stop(): void;
    #private;
}

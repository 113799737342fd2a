/**
 * How often to send heartbeats on a connection of this token: as the options say, or else by how
 * long the token says that the server waits for one (`heartbeatTimeout`, protocol.md section 4).
 * @param {string} token its signature is the server's to verify
 * @param {{heartbeatIntervalSeconds: ?number}} options
 * @returns {number} seconds; 0: none are wanted, or the token cannot be read
 */
export function heartbeatSeconds(token: string, { heartbeatIntervalSeconds }: {
    heartbeatIntervalSeconds: number | null;
}): number;
/** One request at a time: the answer to one that was abandoned or replaced reaches nobody. */
export class TokenRequest {
    /**
     * @param {function(object=): (string | Promise<string>)} tokenFn
     * @param {object | undefined} details its argument
     * @param {function(string): void} given
     * @param {function(unknown): void} failed with what tokenFn threw, or an Error that says what
     *   was wrong with its answer
     */
    start(tokenFn: (arg0: object | undefined) => (string | Promise<string>), details: object | undefined, given: (arg0: string) => void, failed: (arg0: unknown) => void): void;
    /** Calls tokenFn once more where it has not answered: whichever call answers first counts. */
    askAgain(): void;
    abandon(): void;
    #private;
}

/** Why there is no answer: a refusal, or none came. */
export class HttpError extends Error {
    /**
     * @param {number} status 0 where no answer came
     * @param {string} [code] of protocol.md section 17, where the server gave one
     * @param {unknown} [cause]
     */
    constructor(message: any, status: number, code?: string, cause?: unknown);
    status: number;
    code: string | undefined;
}
export class HttpApi {
    /**
     * @param {URL} address of the WebSocket; the API is beside it
     * @param {string | URL | null} httpUrl where the API is elsewhere
     * @param {function(): ?object} credentials of the connection; null while there is none
     */
    constructor(address: URL, httpUrl: string | URL | null, credentials: () => object | null);
    /**
     * @param {object} body of listMessages
     * @param {AbortSignal[]} signals give it up
     * @returns {Promise<import("./history.js").Message[]>} a page
     * @throws {HttpError}
     */
    listMessages(body: object, signals: AbortSignal[]): Promise<import("./history.js").Message[]>;
    #private;
}

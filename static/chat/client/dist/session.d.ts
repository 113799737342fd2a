export class Session {
    /** @param {unknown} data of hotsock.subscribed */
    constructor(data: unknown);
    /** What hotsock.subscribed said; a server without the extensions says nothing. */
    data: unknown;
    /** @type {?string} the numbering of the channel's changes (protocol.md section 19) */
    epoch: string | null;
    /** @type {?number} of the channel's newest change that has reached this client */
    position: number | null;
    /** @returns {AbortSignal} aborts when the subscription ends */
    get signal(): AbortSignal;
    /** A frame of the channel said its position. */
    advance(position: any): void;
    end(): void;
    #private;
}
/** A channel's sessions, one after another. */
export class Sessions {
    /** @type {?Session} from hotsock.subscribed on, until the subscription ends */
    current: Session | null;
    /** @param {unknown} data of hotsock.subscribed */
    begin(data: unknown): void;
    end(): void;
    /** @returns {Promise<Session>} the present one, or the next; rejects where the server refuses */
    next(): Promise<Session>;
    /** There will be none for now. */
    refuse(error: any): void;
    /** There will never be one again. */
    close(error: any): void;
    #private;
}

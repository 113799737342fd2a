export class Telling {
    /**
     * @param {import("./follow_options.js").FollowOptions} options complete
     * @param {function(ClientError): void} report of callbacks that threw
     */
    constructor(options: import("./follow_options.js").FollowOptions, report: (arg0: ClientError) => void);
    options: import("./follow_options.js").FollowOptions;
    held: Held;
    /** @type {?import("./follow_options.js").FollowPosition} replaced, never changed */
    position: import("./follow_options.js").FollowPosition | null;
    /** Whether nothing was told and there is nothing to catch up with. */
    isOpening: boolean;
    /** Whether the server numbers what it stores. */
    isNumbered: boolean;
    /** @param {import("./session.js").Session} session all that follows is of this one */
    begin({ epoch }: import("./session.js").Session): void;
    /** @param {import("./catchup.js").Past} past */
    past({ kind, history }: import("./catchup.js").Past): void;
    /** All that was missed has been told: all changes up to the position, where there is one. */
    caughtUp(session: any, position: any, recovered: any): void;
    /** Tells what a frame of the channel says, if that is news. */
    frame(frame: any): void;
    /** Nothing more is told. */
    end(): void;
    /** @returns {boolean} whether a message may be stored, as far as one can see */
    isStored(message: any): boolean;
    #private;
}
import { Held } from "./held.js";
import { ClientError } from "./errors.js";

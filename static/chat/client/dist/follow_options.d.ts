export function readFollowOptions(given: FollowOptions): FollowOptions;
/**
 * Plain JSON.
 */
export type FollowPosition = {
    /**
     * of the channel's last change that was told (protocol.md section 19)
     */
    position?: number | undefined;
    /**
     * the numbering that position belongs to
     */
    epoch?: string | undefined;
    /**
     * of the last message that was told
     */
    id?: string | undefined;
};
/**
 * All callbacks are optional. What they throw goes to `@@error`, and following goes on.
 */
export type FollowOptions = {
    /**
     * of the messages; by default every stored message is told. A
     * server without positions (section 19) does not say what is stored: there, name it
     */
    event?: string | RegExp | undefined;
    /**
     * where an earlier follower stopped: its position
     */
    since?: FollowPosition | null | undefined;
    /**
     * of the messages up to `since`,
     * those that the application still shows, oldest first, with the `reactions` that it shows: where
     * history must be read, it is compared with them
     */
    messages?: Iterable<import("./history.js").Message> | undefined;
    /**
     * 0 or more, 50 by default: with how many of the newest stored messages
     * to begin, and to go on after a jump; 0: with those that come live
     */
    limit?: number | undefined;
    /**
     * 0 or more, 1000 by default: where more messages than these were
     * missed, it jumps
     */
    maxMissed?: number | undefined;
    /**
     * each stored message, once
     * and in order; those read from history have their `reactions`
     */
    onMessage?: ((arg0: import("./history.js").Message) => void) | undefined;
    /**
     * a reaction was added or
     * removed, since its message was told
     */
    onReaction?: ((arg0: import("./held.js").Reaction) => void) | undefined;
    /**
     * a message is in history no longer
     */
    onDelete?: ((arg0: {
        messageId: string;
    }) => void) | undefined;
    /**
     * from here on messages may be missing, and those told so far
     * are kept true no longer: forget them. The newest follow
     */
    onJump?: (() => void) | undefined;
    /**
     * after each subscribing, once all that was missed has been told. count: messages
     * told; recovered: without history; opening: for the first time, without `since`
     */
    onCaughtUp?: ((arg0: {
        count: number;
        recovered: boolean;
        jumped: boolean;
        opening: boolean;
    }) => void) | undefined;
};

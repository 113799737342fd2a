export class HotsockClient extends SmallClient {
    static Channel: typeof FollowingChannel;
    /**
     * @param {string} name or alias
     * @returns {FollowingChannel} always the same one for a name; this alone subscribes to nothing
     * @throws {TypeError}
     */
    channels(name: string): FollowingChannel;
}
import { HotsockClient as SmallClient } from "./client.js";
import { FollowingChannel } from "./following_channel.js";

// The client whose channels have `history`, `follow` and `occupancy`.

import { HotsockClient as SmallClient } from "./client.js";
import { FollowingChannel } from "./following_channel.js";

export class HotsockClient extends SmallClient {
  static Channel = FollowingChannel;

  /**
   * @param {string} name or alias
   * @returns {FollowingChannel} always the same one for a name; this alone subscribes to nothing
   * @throws {TypeError}
   */
  channels(name) {
    return /** @type {FollowingChannel} */ (super.channels(name));
  }
}

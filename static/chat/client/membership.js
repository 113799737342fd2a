// What the server has said of us and of the others in one channel.

import { isObject } from "./frames.js";

export class Membership {
  uid = null;
  umd = null;
  members = [];

  /** From the `meta` of hotsock.subscribed and hotsock.umdUpdated. */
  readSelf({ meta }) {
    if (!isObject(meta)) return;
    this.uid = meta.uid ?? null;
    this.umd = meta.umd ?? null;
  }

  /** From the `data` of hotsock.subscribed and the member events (protocol.md section 10). */
  readMembers({ data }) {
    if (isObject(data) && Array.isArray(data.members)) this.members = data.members;
  }
}

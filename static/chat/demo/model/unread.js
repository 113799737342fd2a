// What the reader has not seen: how many messages, and before which of them the line stands. Pure.

export class Unread {
  count = 0;
  /** The first unread one. Stays when it has been read: the reader looks for where to begin. */
  firstId = null;

  /** A message of somebody else came. */
  arrived(id, isSeen) {
    if (isSeen) return;
    if (this.count === 0) this.firstId = id;
    this.count += 1;
  }

  /** The reader is at the end and looks at it. */
  read() {
    this.count = 0;
  }

  /** The reader goes on: what was unread is behind. */
  forget() {
    this.count = 0;
    this.firstId = null;
  }
}

// What one person's window shows and does, without the window: joins the channel's messages, the
// older ones, the messages that wait, the reactions and the typing. No DOM. Events:
//   "changed"    messages, reactions, what waits, or the reading of history
//   "arrived"    detail: {id, uid} of a message that came after this was opened
//   "typing" "phase"
//   "trouble"    detail: a sentence to tell once

import { Timeline } from "./timeline.js";
import { isChat, keyOf } from "./rows.js";
import { PAGE, Reader } from "./reader.js";
import { Sending } from "./sending.js";
import { REACTION, Reacting } from "./reacting.js";

export class Conversation extends EventTarget {
  timeline = new Timeline();
  reader;
  sending;
  reacting;
  /** "loading", "ready" or "failed" */
  history = "loading";
  /** Whether the newest messages have been read before: then only what is new is missing. */
  wasReady = false;
  /** Of the others who type. */
  typingUids = [];
  #uid;
  #connection;
  #newestId; // of the messages that are known, also where they are not in the timeline
  #followedFrom = null; // the first message of those that the connection keeps up to date

  #onRefusal = {
    [REACTION]: (code) => this.reacting.refused(code),
  };

  /**
   * @param {object} parts
   * @param {string} parts.uid whose window this is
   * @param {import("./connection.js").Connection} parts.connection
   * @param {import("./storage.js").Owned} parts.kept where what waits outlives a reload
   */
  constructor({ uid, connection, kept }) {
    super();
    this.#uid = uid;
    this.#connection = connection;
    this.sending = this.#makeSending(connection, kept);
    this.reacting = this.#makeReacting(connection);
    this.reader = this.#makeReader(connection);
    this.#listen(connection);
    this.#follow(connection);
  }

  get phase() {
    return this.#connection.phase;
  }

  /** What to tell while not connected, or nothing. */
  get notice() {
    return this.#connection.notice;
  }

  /** The person typed; `text` is what stands in the composer now. */
  typed(text) {
    if (text.trim()) this.#connection.typing();
  }

  /** The reader wants to be at the newest messages, or goes away from there. */
  followEnd(isWanted) {
    this.timeline.followsEnd = isWanted;
    if (isWanted && this.timeline.hasNewer) this.reader.newest();
  }

  /** Tries again what did not work: to connect, else to read the history. */
  retry() {
    if (this.reader.failed) this.reader.retry();
    else this.#connection.retry();
  }

  close() {
    this.reader.stop();
    this.sending.stop();
    this.#connection.close();
  }

  #makeSending(connection, kept) {
    return new Sending({
      connection,
      kept,
      lastId: () => this.#newestId,
      changed: () => this.#changed(),
    });
  }

  #makeReacting(connection) {
    const on = {
      changed: () => this.#changed(),
      trouble: (words) => this.#tell("trouble", words),
    };
    return new Reacting({ uid: this.#uid, connection, timeline: this.timeline, on });
  }

  #makeReader(connection) {
    return new Reader({
      history: (stretch) => connection.history(stretch),
      timeline: this.timeline,
      changed: () => this.#changed(),
    });
  }

  #follow(connection) {
    connection.follow({
      limit: PAGE,
      onMessage: (message) => this.#heard(message),
      onReaction: (change) => this.reacting.heard(change),
      onDelete: ({ messageId }) => this.#deleted(messageId),
      onJump: () => this.#jumped(),
      onCaughtUp: (news) => this.#caughtUp(news),
    });
  }

  #listen(connection) {
    const on = (type, act) => connection.addEventListener(type, ({ detail }) => act(detail));
    on("phase", () => this.#tell("phase"));
    on("subscribed", () => this.sending.flush());
    on("lost", () => this.reacting.interrupt());
    on("typing", (uids) => this.#typed(uids));
    on("history-failed", () => this.#enter("failed"));
    on("refused", ({ event, code }) => this.#onRefusal[event]?.(code));
  }

  #heard(message) {
    const { id } = message;
    const uid = message.meta?.uid ?? null;
    this.#followedFrom ??= id;
    this.#newestId = id;
    this.timeline.addLive(message);
    if (uid === this.#uid) this.#confirm(id, message.data);
    if (this.wasReady && isChat(message)) this.#tell("arrived", { id, uid });
    this.#changed();
  }

  /** An own message: it may be one of those that wait. */
  #confirm(id, text) {
    const item = this.sending.heard({ id, text });
    if (item) this.timeline.adopt(id, keyOf(item));
  }

  #deleted(messageId) {
    this.timeline.remove(messageId);
    this.#changed();
  }

  /** Of what was missed only the newest messages follow. */
  #jumped() {
    this.#followedFrom = null;
    if (this.timeline.followsEnd) this.timeline.replace([], true, false);
    else this.timeline.leaveEnd();
  }

  #caughtUp({ count, recovered, opening }) {
    if (opening) this.timeline.hasOlder ||= count >= PAGE;
    else if (!recovered && this.timeline.firstId < this.#followedFrom) this.reader.again();
    this.wasReady = true;
    this.sending.caughtUp();
    this.#enter("ready");
  }

  #enter(state) {
    this.history = state;
    this.#changed();
  }

  #typed(uids) {
    this.typingUids = uids;
    this.#tell("typing");
  }

  #changed() {
    this.#tell("changed");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

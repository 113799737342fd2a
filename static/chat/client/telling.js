// What a follower tells the application, and where that stands: turns history and live frames into
// callbacks. No I/O.

import { matches } from "./bindings.js";
import { call } from "./callback.js";
import { ClientError, ErrorCode } from "./errors.js";
import { isObject } from "./frames.js";
import { Held } from "./held.js";

export class Telling {
  options;
  held;
  /** @type {?import("./follow_options.js").FollowPosition} replaced, never changed */
  position;
  /** Whether nothing was told and there is nothing to catch up with. */
  isOpening;
  /** Whether the server numbers what it stores. */
  isNumbered = false;
  #report;
  #isFirst;
  #isOver = false;
  #jumped = false;
  #count = 0; // of messages in this session

  #readers = new Map([
    ["hotsock.messageReactionAdded", (frame) => this.#reacted(frame)],
    ["hotsock.messageReactionRemoved", (frame) => this.#reacted(frame)],
    ["hotsock.messageDeleted", ({ data }) => this.#deleted(data?.messageId)],
  ]);

  #pasts = {
    opening: (history) => this.#open(history),
    jump: (history) => this.#jump(history),
    comparison: (history) => this.#compare(history),
  };

  /**
   * @param {import("./follow_options.js").FollowOptions} options complete
   * @param {function(ClientError): void} report of callbacks that threw
   */
  constructor(options, report) {
    this.options = options;
    this.#report = report;
    this.position = options.since;
    this.held = new Held(options.since?.id, options.since ? options.messages : []);
    this.isOpening = this.#isFirst = options.since === null;
  }

  /** @param {import("./session.js").Session} session all that follows is of this one */
  begin({ epoch }) {
    this.#count = 0;
    this.#jumped = false;
    this.isNumbered = epoch !== null;
    if (epoch !== this.position?.epoch) this.held.forgetPositions();
  }

  /** @param {import("./catchup.js").Past} past */
  past({ kind, history }) {
    this.isOpening = false;
    this.#pasts[kind](history);
  }

  /** All that was missed has been told: all changes up to the position, where there is one. */
  caughtUp(session, position, recovered) {
    const { id } = this.position ?? {};
    this.position = this.isNumbered ? { position, epoch: session.epoch, id } : { id };
    this.held.settle(position);
    const opening = this.#isFirst;
    this.#isFirst = false;
    this.#tell("onCaughtUp", { count: this.#count, recovered, jumped: this.#jumped, opening });
  }

  /** Tells what a frame of the channel says, if that is news. */
  frame(frame) {
    const { event, position } = frame;
    if (this.isNumbered && !(position > this.position.position)) return; // not stored, or known
    if (this.isNumbered) this.position = { ...this.position, position };
    const read = this.#readers.get(event);
    if (read) read(frame);
    else if (!event.startsWith("hotsock.")) this.#message(frame);
  }

  /** Nothing more is told. */
  end() {
    this.#isOver = true;
  }

  /** @returns {boolean} whether a message may be stored, as far as one can see */
  isStored(message) {
    return this.isNumbered || this.#isWanted(message);
  }

  #open(history) {
    if (this.options.limit > 0) this.#startWith(history);
    else this.held.startAfter(history.at(-1)?.id ?? "");
  }

  #jump(history) {
    this.#jumped = true;
    this.#tell("onJump");
    this.#startWith(history);
  }

  #startWith(history) {
    this.held.startWith(history);
    for (const message of history) this.#tellMessage(message);
  }

  #compare(history) {
    const { deleted, reactions, added } = this.held.compare(history);
    for (const messageId of deleted) this.#tell("onDelete", { messageId });
    for (const change of reactions) this.#tell("onReaction", change);
    for (const message of added) this.#tellMessage(message);
  }

  #message(message) {
    if (typeof message.id !== "string" || !this.isStored(message)) return;
    if (this.held.add(message)) this.#tellMessage(message);
  }

  #tellMessage(message) {
    this.position = { ...this.position, id: message.id };
    if (!this.#isWanted(message)) return;
    this.#count += 1;
    this.#tell("onMessage", message);
  }

  #reacted({ data, meta }) {
    if (!isObject(data)) return;
    const { messageId, reaction, action } = data;
    const { uid = null, umd = null } = isObject(meta) ? meta : {};
    const change = { messageId, reaction, action, uid, umd };
    if (this.held.react(change)) this.#tell("onReaction", change);
  }

  #deleted(messageId) {
    this.held.remove(messageId);
    this.#tell("onDelete", { messageId });
  }

  #isWanted({ event }) {
    return matches(this.options.event, event);
  }

  #tell(name, value) {
    if (this.#isOver) return;
    call(this.options[name], value, (cause) => {
      const details = { cause, event: name };
      this.#report(new ClientError(ErrorCode.CALLBACK_FAILED, `${name} failed`, details));
    });
  }
}

// Messages on their way out: sent now where that is possible, otherwise kept in order until it is.
// One that was sent stays until the server has answered; where the connection ends before that, it
// goes back to its place and out again, with the same `ack`, so the server does it once.

import { failed, readAnswer, showsAcknowledging } from "./acknowledgement.js";
import { ErrorCode } from "./errors.js";
import { MAX_FRAME_BYTES, frameBytes, isWellFormed } from "./frames.js";
import { Unanswered, sizeOf } from "./unanswered.js";

// All of these and of Unanswered, sent at once after connecting, stay below the 500 frames in 10 s
// that no server limits (protocol.md section 17).
const MAX_WAITING = 256;
const MAX_BYTES = 4 * 1024 * 1024;

// A dead connection is noticed before that: so this one lives, and the server acknowledges nothing.
const ANSWER_MS = 40_000;

const FRAME_TOO_LARGE = 1009; // close code

const SENT = Object.freeze({ status: "sent" });
const TOO_LARGE = [ErrorCode.DATA_TOO_LARGE, "it is larger than the server takes"];
const MALFORMED = [ErrorCode.INVALID_MESSAGE, "it holds half a character (a lone surrogate)"];
const IN_DOUBT = "it was sent, but not acknowledged: it may have arrived";

/**
 * @typedef {object} Message
 * @property {string} text the frame
 * @property {string} [channel]
 * @property {string} [event]
 * @property {unknown} [data]
 * @property {string} [ack] of the frame; without one it is sent once, and no answer is waited for
 * @property {boolean} [retry] whether it may go out again
 */

export class Outbox {
  #waiting = []; // in the order of their numbers
  #unanswered = new Unanswered();
  #isAcknowledging = false; // until the server shows it: another would do twice what is sent again
  #lastNumber = 0;
  #lifeMs;
  #calls;

  /**
   * @param {number} lifeMs how long a message may go out; below the 600 s for which the server
   *   remembers an `ack`
   * @param {object} calls
   * @param {function(): boolean} calls.isWritable whether anything can be sent
   * @param {function(string): void} calls.send
   * @param {function(string): boolean} calls.mustWait whether a channel takes no message yet
   * @param {function(string | undefined): ?string} calls.uidIn as whom we send to a channel
   * @param {function(Message, string, string): void} calls.lost told of each that was not sent and
   *   will not be: a code of ErrorCode, and why
   */
  constructor(lifeMs, calls) {
    this.#lifeMs = lifeMs;
    this.#calls = calls;
  }

  /**
   * @param {Message} message
   * @returns {Promise<import("./acknowledgement.js").Outcome>} never rejects
   */
  add(message) {
    this.flush(); // what is ready goes first, so that each channel's messages keep their order
    const number = ++this.#lastNumber;
    const expiresAt = Date.now() + this.#lifeMs;
    return new Promise((resolve) => {
      const bytes = frameBytes(message.text);
      this.#take({ ...message, bytes, number, expiresAt, isInDoubt: false, resolve });
    });
  }

  /** Sends what need not wait any longer. A send may call back into here. */
  flush() {
    while (this.#calls.isWritable()) {
      const index = this.#waiting.findIndex((entry) => this.#isReady(entry));
      if (index < 0) return;
      this.#send(...this.#waiting.splice(index, 1));
    }
  }

  /** @param {import("./frames.js").Frame} frame any */
  receive(frame) {
    this.#isAcknowledging ||= showsAcknowledging(frame);
    const answer = readAnswer(frame);
    const entry = answer && this.#unanswered.find(answer.ack);
    if (entry) this.#answered(entry, answer.outcome);
  }

  /**
   * What was sent and not answered may have been done or not.
   * @param {number} code of the close
   */
  disconnected(code) {
    if (code === FRAME_TOO_LARGE) this.#failLargest();
    const entries = this.#unanswered.all();
    for (const entry of entries) this.#doubt(entry);
    const isAgain = ({ retry }) => retry && this.#isAcknowledging;
    this.#wait(...entries.filter(isAgain));
    for (const entry of entries) if (!isAgain(entry)) this.#fail(entry);
  }

  /** The channel refuses us. */
  drop(channelName) {
    for (const entry of this.#waiting.filter(({ channel }) => channel === channelName)) {
      this.#fail(entry, ErrorCode.SUBSCRIBE_REFUSED, "the channel refused us");
    }
  }

  /** Nothing will be sent any more; the connection has ended. */
  terminate() {
    for (const entry of this.#waiting) this.#settle(entry, terminated());
  }

  #take(entry) {
    if (entry.bytes > MAX_FRAME_BYTES) return this.#fail(entry, ...TOO_LARGE);
    if (!isRaw(entry) && !isWellFormed(entry.text)) return this.#fail(entry, ...MALFORMED);
    if (this.#calls.isWritable() && this.#isReady(entry)) return this.#send(entry);
    if (this.#hasRoom(entry)) return this.#wait(entry);
    this.#fail(entry, ErrorCode.QUEUE_FULL, "too much waits to be sent");
  }

  #isReady({ channel }) {
    return channel === undefined || !this.#calls.mustWait(channel);
  }

  #hasRoom(entry) {
    const bytes = this.#waiting.reduce((sum, other) => sum + sizeOf(other), sizeOf(entry));
    return this.#waiting.length < MAX_WAITING && bytes <= MAX_BYTES;
  }

  #wait(...entries) {
    for (const entry of entries) {
      setTimer(entry, entry.expiresAt - Date.now(), () => this.#expire(entry));
    }
    this.#waiting.push(...entries);
    this.#waiting.sort((one, other) => one.number - other.number);
  }

  #send(entry) {
    if (Date.now() >= entry.expiresAt) return this.#expire(entry); // a sleeping page has no timers
    const uid = this.#calls.uidIn(entry.channel);
    if (entry.isInDoubt && entry.uid !== uid) return this.#fail(entry);
    const { text } = entry;
    if (entry.ack === undefined) this.#settle(entry, SENT);
    else this.#expectAnswer(Object.assign(entry, { uid, retry: entry.retry && uid !== null }));
    this.#calls.send(text);
  }

  // The server knows an `ack` again from the same uid only.
  #expectAnswer(entry) {
    this.#unanswered.add(entry);
    setTimer(entry, ANSWER_MS, () => {
      this.#doubt(entry);
      this.#fail(entry);
    });
  }

  #answered(entry, outcome) {
    const isUnsubscribed = outcome.code === "NOT_SUBSCRIBED";
    if (isUnsubscribed && this.#isSubscribingAgain(entry)) this.#again(entry);
    else this.#settle(entry, outcome);
  }

  // Once: a server that goes on saying so is taken at its word.
  #isSubscribingAgain({ channel, retry, wasUnsubscribed }) {
    return retry && !wasUnsubscribed && this.#calls.mustWait(channel);
  }

  #again(entry) {
    entry.wasUnsubscribed = true;
    this.#unanswered.delete(entry);
    this.#wait(entry);
  }

  #doubt(entry) {
    this.#unanswered.delete(entry);
    entry.isInDoubt = true;
  }

  // One of them was larger than this server takes, and the largest one is no smaller than that.
  #failLargest() {
    const [largest] = this.#unanswered.all().toSorted((one, other) => other.bytes - one.bytes);
    if (largest) this.#fail(largest, ...TOO_LARGE);
  }

  #expire(entry) {
    this.#fail(entry, ErrorCode.EXPIRED, "it waited too long to be sent");
  }

  #fail(entry, code, why) {
    this.#settle(entry, failed(code, why));
    if (!entry.isInDoubt) this.#calls.lost(entry, code, why);
  }

  // Of a message in doubt, a failure says nothing of the earlier try, which may have been done.
  #settle(entry, outcome) {
    clearTimeout(entry.timer);
    this.#unanswered.delete(entry);
    this.#waiting = this.#waiting.filter((other) => other !== entry);
    const isInDoubt = entry.isInDoubt && outcome.status === "failed";
    entry.resolve(isInDoubt ? failed(ErrorCode.UNACKNOWLEDGED, IN_DOUBT) : outcome);
  }
}

/** @returns {import("./acknowledgement.js").Outcome} of what a terminated client is to send */
export function terminated() {
  return failed(ErrorCode.TERMINATED, "the client was terminated");
}

/** Whether the text is the application's own; it may say the same in another way. */
const isRaw = ({ event }) => event === undefined;

function setTimer(entry, delay, lapse) {
  clearTimeout(entry.timer);
  entry.timer = setTimeout(lapse, delay);
}

// Follows a channel's stored messages: each once and in order, whatever becomes of the connection.
// After each subscribing the server replays what was missed, or history is read; frames that are
// received meanwhile wait.

import { readPast } from "./catchup.js";
import { readFollowOptions } from "./follow_options.js";
import { failure } from "./history.js";
import { Telling } from "./telling.js";

const MAX_WAITING = 1000; // frames; what more of them say is read from history

/** Made by channel.follow(). */
export class Follow {
  #parts;
  #telling;
  #binding;
  #ask;
  #state = "waiting";
  #session = null;
  #reading = new AbortController();
  #waiting = null; // frames, while history is read
  #replay = new Replay(0);

  /**
   * @param {object} parts
   * @param {import("./channel.js").Channel} parts.channel
   * @param {import("./subscription.js").Subscription} parts.subscription
   * @param {import("./http_api.js").HttpApi} parts.http
   * @param {function(import("./errors.js").ClientError): void} parts.report
   * @param {import("./follow_options.js").FollowOptions} options
   * @throws {TypeError}
   */
  constructor(parts, options) {
    this.#parts = parts;
    this.#telling = new Telling(readFollowOptions(options), parts.report);
    this.#begin(parts, this.#telling);
  }

  /**
   * Plain JSON to save, and to give as `since` later; null before anything is known. In a callback
   * it includes what that is told.
   * @returns {?import("./follow_options.js").FollowPosition}
   */
  get position() {
    return this.#telling.position;
  }

  /** @returns {"waiting" | "catchingUp" | "live" | "stopped"} waiting: for the subscription */
  get state() {
    return this.#state;
  }

  /** Ends it, at once; where it was the channel's last binding, that unsubscribes. */
  stop() {
    this.#ended();
    this.#binding.unbind();
  }

  #begin({ channel, subscription }, telling) {
    this.#ask = {
      get since() {
        return telling.position;
      },
    };
    subscription.asks.add(this.#ask); // before binding, which subscribes where it is the first
    this.#binding = channel.bind(/^/, (frame) => this.#received(frame));
    this.#binding.ended = () => this.#ended();
    // Where it is subscribed already; not before the application has what we return.
    const join = () => this.#session === null && this.#subscribed(false);
    queueMicrotask(() => subscription.whenKept(join));
  }

  #ended() {
    this.#telling.end();
    this.#pause();
    this.#state = "stopped";
    this.#parts.subscription.asks.delete(this.#ask);
  }

  #received(frame) {
    if (frame.event === "hotsock.subscribed") this.#subscribed(true);
    else if (this.#waiting) this.#wait(frame);
    else if (this.#session) this.#apply(frame);
  }

  #wait(frame) {
    if (this.#waiting.length <= MAX_WAITING) this.#waiting.push(frame);
  }

  #apply(frame) {
    this.#telling.frame(frame);
    if (this.#replay.endsWith(frame)) this.#recovered();
  }

  #subscribed(isFromStart) {
    const session = this.#parts.subscription.sessions.current;
    if (session === null || this.#state === "stopped") return;
    this.#pause();
    this.#session = session;
    session.signal.addEventListener("abort", () => session === this.#session && this.#pause());
    this.#state = "catchingUp";
    this.#telling.begin(session);
    const replayed = this.#replayed(session, isFromStart);
    if (replayed === null) return void this.#catchUp(session);
    this.#replay = new Replay(replayed);
    if (replayed === 0) this.#recovered();
  }

  // A follower that joins a session later has missed frames of the replay, or of after it.
  #replayed(session, isFromStart) {
    if (isAt(session, this.position)) return 0;
    const { asks } = this.#parts.subscription;
    return isFromStart ? asks.replayed(session, this.position) : null;
  }

  #pause() {
    this.#reading.abort();
    this.#session = null;
    this.#waiting = null;
    this.#replay = new Replay(0);
    this.#state = "waiting";
  }

  #recovered() {
    this.#live(this.#session.position, true);
  }

  #live(position, recovered) {
    this.#state = "live";
    this.#telling.caughtUp(this.#session, position, recovered);
  }

  async #catchUp(session) {
    const { signal } = (this.#reading = new AbortController());
    let position;
    do {
      position = session.position; // history that is read from here on has all changes up to it
      this.#waiting = [];
      const past = await this.#past(signal);
      if (!signal.aborted) this.#telling.past(past);
      if (signal.aborted) return;
    } while (this.#waiting.length > MAX_WAITING);
    const frames = this.#waiting;
    this.#waiting = null;
    this.#live(position, false);
    for (const frame of frames) if (!signal.aborted) this.#telling.frame(frame);
  }

  async #past(signal) {
    const { channel, subscription, http, report } = this.#parts;
    const { sessions } = subscription;
    const failed = (cause) => report(failure(channel.name, cause));
    const source = { channel: channel.name, sessions, http, signal, failed, maxAttempts: Infinity };
    try {
      return await readPast(source, this.#telling);
    } catch (error) {
      if (!signal.aborted) report(error);
      return { kind: this.#telling.isOpening ? "opening" : "jump", history: [] };
    }
  }
}

/** Whether nothing of the channel has changed since that position. */
function isAt({ position, epoch }, known) {
  return position !== null && known?.position === position && known.epoch === epoch;
}

/** The frames that are still to come of a replay. Others can come between, such as a refusal. */
class Replay {
  #left;
  #position = -1;

  constructor(left) {
    this.#left = left;
  }

  /** @returns {boolean} whether this was the last one */
  endsWith({ event, position }) {
    if (this.#left === 0 || !this.#contains(event, position)) return false;
    if (position > this.#position) this.#position = position;
    this.#left -= 1;
    return this.#left === 0;
  }

  // An entry that has expired since then may have no position, or one of before.
  #contains(event, position) {
    return position > this.#position || event === "hotsock.channelStorageUpdated";
  }
}

// One person's connection to one channel: the client, and where it stands in words. Knows nothing
// of messages. Events: "phase", "subscribed", "lost", "history-failed" (the client tries again),
// "typing" (detail: the uids of the others who do), "refused" (detail: {event, code}).

import { ApiError } from "./api.js";
import { isTrial } from "./inside.js";
import { DENIED, KEPT, LOST, OFFLINE, REFUSED, TRYING } from "./words.js";

// Of the client's errors, those that end a try to connect.
const FAILED_TRIES = new Set(["SOCKET_FAILED", "SOCKET_SILENT", "HANDSHAKE_TIMEOUT"]);

/** Why the device has no network, in words; null: it has one. */
export const offlineWords = () => (navigator.onLine ? null : OFFLINE);

export class Connection extends EventTarget {
  #client;
  #channel;
  #offline;
  #wasLive = false;
  #problem = null; // why the last try failed, in words; null while there is none

  /**
   * @param {object} parts
   * @param {string} parts.channel its name
   * @param {function(): Promise<string>} parts.token gives a fresh connect token
   * @param {function(object): object} parts.createClient takes the client's options
   * @param {function(): ?string} [parts.offline] why there is no network, in words; null: there is
   */
  constructor({ channel, token, createClient, offline = offlineWords }) {
    super();
    this.#offline = offline;
    this.#client = createClient({
      connectTokenFn: () => this.#token(token),
      connectTokenFnMaxAttempts: Infinity, // tokens and sockets come from one server: both return
      logLevel: "silent", // the page says it in words
    });
    this.#channel = this.#client.channels(channel);
    this.#listen();
  }

  get phase() {
    if (this.#channel.subscribed) return "live";
    if (this.#offline()) return "offline";
    if (this.#problem) return "failed";
    return this.#wasLive ? "reconnecting" : "connecting";
  }

  /** What to tell where it is not live; null: nothing. */
  get notice() {
    const words = { offline: this.#offline(), failed: this.#problem, reconnecting: LOST }[this.phase];
    return words ? `${words} ${KEPT}` : null;
  }

  /** As channel.sendMessage(). */
  send(event, data, options = {}) {
    return this.#channel.sendMessage(event, { ...options, data });
  }

  /** As channel.typing(). */
  typing() {
    this.#channel.typing();
  }

  /** The channel's stored messages and what becomes of them, as the client's channel.follow(). */
  follow(callbacks) {
    return this.#channel.follow(callbacks);
  }

  /** Stretches of its history, as channel.history(). */
  history(stretch) {
    return this.#channel.history(stretch);
  }

  /** Tries again now. */
  retry() {
    if (this.#client.activeConnection) this.renew();
    else this.#client.resume();
  }

  /** Trusts this connection no longer. */
  renew() {
    this.#client.suspend();
    this.#client.resume();
  }

  close() {
    this.#client.terminate();
  }

  #listen() {
    const client = this.#client;
    client.bind("@@disconnect", () => this.#ended());
    client.bind("@@error", (error) => this.#clientFailed(error));
    this.#channel.bind("hotsock.error", ({ error }) => this.#refused(error));
    this.#channel.bind("hotsock.subscribed", () => this.#subscribed());
    this.#channel.onTyping((uids) => this.#tell("typing", uids));
  }

  async #token(token) {
    try {
      return await token();
    } catch (error) {
      if (error instanceof ApiError) this.#say(`${error.message} ${TRYING}`);
      throw error;
    }
  }

  #subscribed() {
    this.#wasLive = true;
    this.#say(null);
    this.#tell("subscribed");
  }

  #ended() {
    this.#tell("lost");
    this.#tell("phase");
  }

  #clientFailed({ code }) {
    if (code === "HISTORY_FAILED") this.#tell("history-failed");
    // The error of a socket that was live is the end of a connection, not a refusal.
    if (FAILED_TRIES.has(code) && !this.#channel.subscribed) this.#say(`${REFUSED} ${TRYING}`);
  }

  #refused({ event, code, ack }) {
    if (isTrial(ack)) return;
    if (event === "hotsock.subscribe" && code.endsWith("_DENIED")) this.#say(DENIED);
    else this.#tell("refused", { event, code });
  }

  #say(problem) {
    this.#problem = problem;
    this.#tell("phase");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

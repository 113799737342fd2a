// Gets the page its session, however long that takes: asks again after longer and longer pauses,
// and at once when the network is back or somebody looks at the page. No DOM but what wakes it.

import { Backoff } from "../../client/backoff.js";
import { listenForWakeups } from "../../client/wakeups.js";
import { ApiError } from "./api.js";

export class Opening {
  #api;
  #run = new AbortController();
  #wake = () => {};

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Asks until there is an answer, instead of whatever was asked for before.
   * @param {string | undefined} wanted the id of the session, if any
   * @param {function(string): void} failed told after each try that failed, in words
   * @returns {Promise<?{id: string, channel: string}>} null where it was stopped
   */
  async ask(wanted, failed) {
    this.stop();
    const { signal } = (this.#run = new AbortController());
    const backoff = new Backoff();
    while (!signal.aborted) {
      const session = await this.#try(wanted, failed, signal);
      if (signal.aborted) break;
      if (session) return session;
      await this.#pause(backoff.next(), signal);
    }
    return null;
  }

  /** Tries again now, if it waits. */
  retry() {
    this.#wake();
  }

  stop() {
    this.#run.abort();
  }

  async #try(wanted, failed, signal) {
    try {
      return await this.#api.session(wanted, signal);
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof ApiError)) throw error;
      failed(error.message);
      return null;
    }
  }

  async #pause(milliseconds, signal) {
    const { promise, resolve } = Promise.withResolvers();
    const timer = setTimeout(resolve, milliseconds);
    const stopListening = listenForWakeups(resolve);
    signal.addEventListener("abort", resolve);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    stopListening();
  }
}

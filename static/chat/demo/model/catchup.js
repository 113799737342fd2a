// Brings a timeline up to date after each subscribing: first what came since the last id that is
// known, then everything, since an earlier reading may have been cut short and reactions to older
// messages may have changed meanwhile. No DOM.

import { ApiError } from "./api.js";

export class CatchUp {
  /** "loading", "ready" or "failed" */
  state = "loading";
  /** Whether everything has been read at least once. */
  wasReady = false;
  #api;
  #channel;
  #timeline;
  #on;
  #run = new AbortController();

  /** `on`: {page({added, changed}, isNews), state()}, told as things go on. */
  constructor({ api, channel, timeline, on }) {
    this.#api = api;
    this.#channel = channel;
    this.#timeline = timeline;
    this.#on = on;
  }

  /** Begins anew with the credentials of a connection that has subscribed. */
  async start(credentials) {
    this.stop();
    const { signal } = (this.#run = new AbortController());
    try {
      await this.#readAll(credentials, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#timeline.endReading();
      this.#enter("failed");
    }
  }

  stop() {
    this.#run.abort();
  }

  async #readAll(credentials, signal) {
    const { lastId } = this.#timeline;
    this.#enter("loading");
    this.#timeline.beginReading();
    if (lastId) await this.#read(credentials, lastId, signal);
    await this.#read(credentials, "", signal);
    this.#timeline.endReading();
    this.wasReady = true;
    this.#enter("ready");
  }

  async #read(credentials, after, signal) {
    for await (const page of this.#api.pages(credentials, this.#channel, after, signal)) {
      this.#on.page(this.#timeline.addPage(page.filter(isChat)), this.wasReady);
    }
  }

  #enter(state) {
    this.state = state;
    this.#on.state();
  }
}

// Whatever else the channel may hold is not for this page.
const isChat = ({ event }) => event === "chat";

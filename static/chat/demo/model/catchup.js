// Brings a timeline up to date after each subscribing: first what came since the last id that is
// known, then everything, since an earlier reading may have been cut short and reactions to older
// messages may have changed meanwhile. Ends with the one message that may have been on the wire
// when an earlier connection broke. No DOM.

import { ApiError } from "./api.js";
import { UNCERTAIN } from "./words.js";

const ASK_AGAIN = 1000; // ms between two questions whether the old connection has ended

export class CatchUp {
  /** "loading", "ready" or "failed" */
  state = "loading";
  /** Whether everything has been read at least once. */
  wasReady = false;
  #api;
  #channel;
  #timeline;
  #outbox;
  #on;
  #run = new AbortController();
  #doubted = null; // the credentials of the connection that the unsure message went out on

  /** `on`: {page({added, changed}, isNews), state(), settled()}, told as things go on. */
  constructor({ api, channel, timeline, outbox, on }) {
    this.#api = api;
    this.#channel = channel;
    this.#timeline = timeline;
    this.#outbox = outbox;
    this.#on = on;
  }

  /** Begins anew with the credentials of a connection that has subscribed. */
  async start(credentials) {
    this.stop();
    const { signal } = (this.#run = new AbortController());
    try {
      await this.#readAll(credentials, signal);
      if (this.#outbox.unsure) await this.#settle(credentials, signal);
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

  /** The connection with these credentials broke with a message on the wire. */
  doubt(credentials) {
    this.#doubted = credentials;
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

  /**
   * History did not have the message that was on the wire. Once the server says that the old
   * connection has ended, it can no longer bring it (protocol.md section 6, 7 and 8): one more
   * look, and it may go out again without ever being there twice. Who cannot ask (the page was
   * loaded anew) leaves it to its writer.
   */
  async #settle(credentials, signal) {
    if (this.#doubted) await this.#lookAgain(credentials, signal);
    else this.#outbox.giveUp(UNCERTAIN);
    this.#on.settled();
  }

  async #lookAgain(credentials, signal) {
    while (!(await this.#api.hasEnded(this.#doubted, this.#channel, signal))) {
      await pause(ASK_AGAIN, signal);
    }
    await this.#readAll(credentials, signal);
    this.#outbox.requeue();
  }

  #enter(state) {
    this.state = state;
    this.#on.state();
  }
}

// Whatever else the channel may hold is not for this page.
const isChat = ({ event }) => event === "chat";

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// What one person's window shows and does, without the window: joins the connection, the history,
// the messages that wait, the reactions and the typing. No DOM. Events, each for what has changed:
//   "entries"    detail {added, news}: messages, as the timeline has them now; news: not just read
//                on opening
//   "reactions"  detail: the entry
//   "outbox" "typing" "phase" "history"
//   "trouble"    detail: a sentence to tell once

import { CatchUp } from "./catchup.js";
import { REACTION, Reacting } from "./reacting.js";
import { Sending } from "./sending.js";
import { Timeline } from "./timeline.js";

export class Conversation extends EventTarget {
  timeline = new Timeline();
  sending;
  reacting;
  /** Of the others who type. */
  typingUids = [];
  #uid;
  #connection;
  #catchUp;
  #credentials = null;

  #onFrame = {
    chat: (message) => this.#heard(message),
    [`${REACTION}Added`]: (message) => this.reacting.heard(message),
    [`${REACTION}Removed`]: (message) => this.reacting.heard(message),
  };

  #onRefusal = {
    [REACTION]: (code) => this.reacting.refused(code),
  };

  /**
   * @param {object} parts
   * @param {string} parts.uid whose window this is
   * @param {string} parts.channel
   * @param {import("./api.js").Api} parts.api
   * @param {import("./connection.js").Connection} parts.connection
   * @param {import("./storage.js").Owned} parts.kept where what waits outlives a reload
   */
  constructor({ uid, channel, api, connection, kept }) {
    super();
    this.#uid = uid;
    this.#connection = connection;
    this.sending = new Sending({
      connection,
      kept,
      lastId: () => this.timeline.lastId,
      changed: () => this.#tell("outbox"),
    });
    this.reacting = this.#makeReacting(connection);
    this.#catchUp = this.#makeCatchUp(api, channel);
    this.#listen(connection);
  }

  get phase() {
    return this.#connection.phase;
  }

  /** What to tell while not connected, or nothing. */
  get notice() {
    return this.#connection.notice;
  }

  /** "loading", "ready" or "failed" */
  get history() {
    return this.#catchUp.state;
  }

  /** Whether history has been read to its end before: then only what is new is missing. */
  get wasReady() {
    return this.#catchUp.wasReady;
  }

  /** The person typed; `text` is what stands in the composer now. */
  typed(text) {
    if (text.trim()) this.#connection.typing();
  }

  /** Tries again what did not work: to connect, else to read the history. */
  retry() {
    if (this.#isLive) this.#catchUp.start(this.#credentials);
    else this.#connection.retry();
  }

  close() {
    this.#catchUp.stop();
    this.sending.stop();
    this.#connection.close();
  }

  get #isLive() {
    return this.phase === "live";
  }

  #makeReacting(connection) {
    const on = {
      changed: (entry) => this.#tell("reactions", entry),
      trouble: (words) => this.#tell("trouble", words),
    };
    return new Reacting({ uid: this.#uid, connection, timeline: this.timeline, on });
  }

  #makeCatchUp(api, channel) {
    const on = {
      page: (page, isNews) => this.#read(page, isNews),
      state: () => this.#tell("history"),
    };
    return new CatchUp({ api, channel, timeline: this.timeline, on });
  }

  #listen(connection) {
    connection.addEventListener("phase", () => this.#tell("phase"));
    connection.addEventListener("subscribed", () => this.#subscribed());
    connection.addEventListener("lost", () => this.#lost());
    connection.addEventListener("frame", ({ detail }) => this.#onFrame[detail.event](detail));
    connection.addEventListener("typing", ({ detail }) => this.#typed(detail));
    connection.addEventListener("refused", ({ detail: { event, code } }) =>
      this.#onRefusal[event]?.(code),
    );
  }

  #subscribed() {
    this.#credentials = this.#connection.credentials;
    this.#catchUp.start(this.#credentials);
    this.sending.flush();
  }

  #lost() {
    this.#catchUp.stop();
    this.reacting.interrupt();
  }

  #heard(message) {
    const entry = this.timeline.addLive(message);
    if (entry) this.#added([entry], true);
  }

  #read({ added, changed }, isNews) {
    this.#added(added, isNews);
    for (const entry of changed) this.#tell("reactions", entry);
  }

  #added(added, news) {
    for (const entry of added) {
      if (entry.uid === this.#uid) this.sending.heard(entry);
    }
    if (added.length) this.#tell("entries", { added, news });
  }

  #typed(uids) {
    this.typingUids = uids;
    this.#tell("typing");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

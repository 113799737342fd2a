// One person's reactions on their way: out as frames, back as echoes that change the timeline.
// Those of others come the same way. No DOM.

import { ReactionWishes } from "./reactions.js";
import { NOT_NOW, refusal } from "./words.js";

export const REACTION = "hotsock.messageReaction";

export class Reacting {
  #uid;
  #connection;
  #timeline;
  #on;
  #wishes = new ReactionWishes();

  /**
   * @param {object} parts
   * @param {string} parts.uid whose reactions these are
   * @param {import("./connection.js").Connection} parts.connection
   * @param {import("./timeline.js").Timeline} parts.timeline
   * @param {{changed: function(): void, trouble: function(string): void}} parts.on told when the
   *   reactions of an entry have changed, and what did not work, as a sentence
   */
  constructor({ uid, connection, timeline, on }) {
    this.#uid = uid;
    this.#connection = connection;
    this.#timeline = timeline;
    this.#on = on;
  }

  /** The person chose a reaction; what is shown changes with the echo. */
  choose(entry, reaction) {
    if (this.#connection.phase !== "live") return this.#on.trouble(NOT_NOW);
    for (const data of this.#wishes.choose(entry, this.#uid, reaction)) {
      this.#connection.send(REACTION, data);
    }
  }

  /** Someone's reaction came, or went. */
  heard({ uid, ...change }) {
    const entry = this.#timeline.react(change, uid);
    if (!entry) return;
    if (uid === this.#uid) this.#wishes.settle(entry, this.#uid);
    this.#on.changed();
  }

  refused(code) {
    this.#wishes.clear();
    this.#on.trouble(refusal(code));
  }

  /** The connection ended: no echo of what was sent on it is sure to come. */
  interrupt() {
    this.#wishes.clear();
  }
}

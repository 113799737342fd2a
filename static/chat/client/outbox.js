// Messages on their way out: sent now where that is possible, otherwise kept in order until it is.
// What was handed to a socket is not here any more and is never sent twice, whatever becomes of
// that socket.

// A whole queue, sent at once after connecting, stays well below the 500 frames in 10 s that no
// server limits (protocol.md section 17).
const MAX_WAITING = 256;

/** @typedef {{text: string, channel?: string, event?: string, data?: unknown}} Message */

export class Outbox {
  #waiting = [];
  #calls;

  /**
   * @param {object} calls
   * @param {function(): boolean} calls.isWritable whether anything can be sent
   * @param {function(string): void} calls.send
   * @param {function(string): boolean} calls.mustWait whether a channel takes no message yet
   */
  constructor(calls) {
    this.#calls = calls;
  }

  /**
   * @param {Message} message
   * @returns {boolean} false: it can be neither sent nor kept
   */
  add(message) {
    this.flush(); // what is ready goes first, so that each channel's messages keep their order
    if (this.#calls.isWritable() && this.#isReady(message)) {
      this.#calls.send(message.text);
      return true;
    }
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(message);
    return true;
  }

  /** Sends what need not wait any longer. A send may call back into here. */
  flush() {
    while (this.#calls.isWritable()) {
      const index = this.#waiting.findIndex((message) => this.#isReady(message));
      if (index < 0) return;
      const [message] = this.#waiting.splice(index, 1);
      this.#calls.send(message.text);
    }
  }

  /** @returns {Message[]} those for the channel, which are not kept any longer */
  drop(channelName) {
    const dropped = this.#waiting.filter(({ channel }) => channel === channelName);
    this.#waiting = this.#waiting.filter(({ channel }) => channel !== channelName);
    return dropped;
  }

  #isReady({ channel }) {
    return channel === undefined || !this.#calls.mustWait(channel);
  }
}

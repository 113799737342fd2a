// The other end of the fake sockets, as far as sending is concerned (protocol.md sections 7, 8, 19):
// stores what arrives in one order, once for each ack, and answers each connection in order. The
// network between is the test's: nothing arrives that it does not carry.

import { sockets } from "./harness.js";

export class ScriptedServer {
  stored = []; // {id, data}, in order
  #outcomes = new Map(); // by ack
  #refuses;
  #lines = new Map(); // socket -> {read, answers, heard, isCut}

  /** @param {function(unknown, boolean): boolean} refuses the data of a message, and its repeat */
  constructor(refuses) {
    this.#refuses = refuses;
  }

  /** The newest sockets get as far as hotsock.connected. */
  accept() {
    for (const socket of sockets) {
      if (socket.readyState > 1 || this.#lines.has(socket)) continue;
      this.#lines.set(socket, { read: 0, answers: [], heard: [], isCut: false });
      socket.connect();
    }
  }

  /** Carries up to so many frames of each socket, also of old ones, to the server. */
  carryFrames(count) {
    for (const [socket, line] of this.#lines) {
      const frames = socket.frames.slice(line.read, line.read + count);
      line.read += frames.length;
      for (const frame of frames) line.answers.push(...this.#answer(frame));
    }
  }

  /** Carries up to so many answers to each socket that can still hear them. */
  carryAnswers(count) {
    for (const [socket, line] of this.#open()) {
      for (const answer of line.answers.splice(0, count)) {
        line.heard.push(answer);
        if (socket.readyState === 1) socket.say(answer);
      }
    }
  }

  /** An answer comes a second time. */
  repeatAnswer(pick) {
    for (const [socket, { heard }] of this.#open()) {
      if (heard.length > 0 && socket.readyState === 1) socket.say(pick(heard));
    }
  }

  /** Closing begins, and nobody was told yet: what is sent from now on must wait. */
  beginClosing() {
    for (const [socket] of this.#open()) socket.readyState = 2;
  }

  /** Open connections end; of what they had sent, only so much arrives, perhaps later. */
  cut(code, survivors) {
    for (const [socket, line] of this.#open()) {
      line.isCut = true;
      socket.sent.splice(line.read + survivors);
      socket.end(code);
    }
  }

  #open() {
    return [...this.#lines].filter(([, { isCut }]) => !isCut);
  }

  #answer({ event, channel, data, ack }) {
    if (event === "hotsock.subscribe") return [subscribed(channel)];
    if (event === "hotsock.ping") return [{ event: "hotsock.pong", data: "{}" }];
    if (this.#refuses(data, this.#outcomes.has(ack))) {
      return [{ event: "hotsock.error", channel, error: { code: "RATE_LIMITED", message: "No.", event, ack } }];
    }
    return [{ event: "hotsock.ack", channel, data: this.#store(ack, data) }];
  }

  #store(ack, data) {
    const known = this.#outcomes.get(ack);
    if (known) return { ...known, repeated: true };
    const outcome = { ack, id: `id-${this.stored.length}`, position: this.stored.length };
    this.#outcomes.set(ack, outcome);
    this.stored.push({ id: outcome.id, data });
    return outcome;
  }
}

function subscribed(channel) {
  const data = { position: 0, epoch: "e" };
  return { event: "hotsock.subscribed", channel, data, meta: { uid: "jim", umd: null } };
}

// However the network drops, delays and repeats, and whenever the server restarts: each message is
// stored once and in order, and its promise tells the truth. SEED=n repeats a run, RUNS=n makes more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeWorld, listen, makeClient, pass, settle } from "./harness.js";
import { ScriptedServer } from "./scripted_server.js";

const RUNS = Number(process.env.RUNS ?? 40);
const FIRST_SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const STEPS = 80;
const ANSWER_MS = 40_000; // after that the client may give an answer up

// Some always, some when they come again, since what their sender may do has changed.
const isRefused = (number, isRepeat) => number % 13 === 0 || (isRepeat && number % 5 === 0);

/** Pseudorandom integers from 0 to below a bound (mulberry32). */
function generator(seed) {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

class Run {
  messages = []; // {number, sentAt, settledAt, outcome}
  server = new ScriptedServer(isRefused);
  #below;
  #client = makeClient();

  #steps = [
    [30, () => this.#send(1 + this.#below(5))],
    [30, () => this.server.carryFrames(1 + this.#below(6))],
    [30, () => this.server.carryAnswers(1 + this.#below(6))],
    [10, () => this.server.repeatAnswer((heard) => heard[this.#below(heard.length)])],
    [10, () => this.server.accept()],
    [10, () => pass(1 + this.#below(1000))],
    [3, () => this.server.beginClosing()],
    [8, () => this.server.cut(1006, this.#below(4))],
    [3, () => this.server.cut(1012, this.#below(4))],
    [2, () => pass(36_000)], // nothing is carried meanwhile: the client gives the socket up
  ];

  constructor(seed) {
    this.#below = generator(seed);
    listen(this.#client, "chat", { channel: "c" });
  }

  async step() {
    let chance = this.#below(this.#steps.reduce((sum, [weight]) => sum + weight, 0));
    const [, act] = this.#steps.find(([weight]) => (chance -= weight) < 0);
    await act();
    await settle();
  }

  /** From here on everything is carried at once. */
  async heal() {
    for (let seconds = 0; seconds < 60; seconds += 1) {
      this.server.accept();
      this.server.carryFrames(Infinity);
      this.server.carryAnswers(Infinity);
      await pass(1000);
    }
  }

  #send(count) {
    for (let left = count; left > 0; left -= 1) {
      const message = { number: this.messages.length, sentAt: Date.now() };
      this.messages.push(message);
      this.#client.sendMessage("chat", { channel: "c", data: message.number }).then((outcome) => {
        return Object.assign(message, { outcome, settledAt: Date.now() });
      });
    }
  }
}

function checkTruth({ number, sentAt, settledAt, outcome }, stored) {
  const told = JSON.stringify([number, outcome]);
  const own = stored.filter(({ data }) => data === number);
  if (outcome?.status === "sent") {
    assert.deepEqual(own.map(({ id }) => id), [outcome.id], told);
    return;
  }
  assert.equal(outcome?.status, "failed", told);
  if (outcome.code !== "UNACKNOWLEDGED") assert.deepEqual(own, [], told);
  assert.ok(isRefused(number, true) || settledAt - sentAt >= ANSWER_MS, `given up without need: ${told}`);
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed += 1) {
  test(`each message is stored once, in order, and told truly: SEED=${seed}`, async (t) => {
    fakeWorld(t);
    const run = new Run(seed);
    for (let count = 0; count < STEPS; count += 1) await run.step();
    await run.heal();
    const { messages, server } = run;
    const numbers = server.stored.map(({ data }) => data);
    assert.deepEqual(numbers, [...new Set(numbers)].toSorted((one, other) => one - other));
    for (const message of messages) checkTruth(message, server.stored);
  });
}

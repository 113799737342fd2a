// Whatever the network and the server do, a follower tells each message once and in order, and what
// it told ends up as the server has it. FOLLOW_SEED=n repeats a run, FOLLOW_RUNS=n makes more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chance } from "./chance.js";
import { fakeWorld, makeClient, newest, pass, settle } from "./harness.js";
import { FakeWebSocket } from "./fake_websocket.js";
import { ScriptedChannel } from "./scripted_channel.js";

const RUNS = Number(process.env.FOLLOW_RUNS ?? 25);
const SEED = Number(process.env.FOLLOW_SEED ?? Math.floor(Math.random() * 2 ** 31));
const STEPS = 500;

/** What an application shows, by what it is told. */
class View {
  shown = new Map(); // id -> Set of "reaction uid"
  begin = null; // of the messages that it is told of
  newest = "";
  caughtUp = [];

  constructor(saved = {}) {
    Object.assign(this, saved);
  }

  callbacks = {
    onMessage: ({ id, reactions = {} }) => {
      assert.ok(!this.shown.has(id), `${id} was told twice`);
      assert.ok(id > this.newest, `${id} was told after ${this.newest}`);
      this.newest = id;
      this.begin ??= id;
      this.shown.set(id, new Set(keysOf(reactions)));
    },
    onReaction: ({ messageId, reaction, action, uid }) => {
      const keys = this.shown.get(messageId);
      if (action === "add") keys?.add(`${reaction} ${uid}`);
      else keys?.delete(`${reaction} ${uid}`);
    },
    onDelete: ({ messageId }) => this.shown.delete(messageId),
    onJump: () => {
      this.shown.clear();
      this.begin = null;
      this.newest = "";
    },
    onCaughtUp: (how) => this.caughtUp.push(how),
  };

  get messages() {
    return [...this.shown].map(([id, keys]) => ({ id, reactions: reactionsOf(keys) }));
  }
}

const keysOf = (reactions) =>
  Object.entries(reactions).flatMap(([name, { items }]) =>
    items.map(({ uid }) => `${name} ${uid}`),
  );

function reactionsOf(keys) {
  const reactions = {};
  for (const key of keys) {
    const [reaction, uid] = key.split(" ");
    reactions[reaction] ??= { items: [] };
    reactions[reaction].items.push({ uid });
  }
  return reactions;
}

class World {
  view = new View();

  constructor(t, seed) {
    this.random = chance(seed);
    const { pick, below } = this.random;
    this.server = new ScriptedChannel({ isNumbered: below(4) > 0 });
    this.options = {
      event: "chat",
      limit: pick([0, 3, 50]),
      maxMissed: pick([5, 30, 1000]),
    };
    t.mock.method(globalThis, "fetch", (url, request) => this.#ask(url, request));
    t.mock.method(FakeWebSocket.prototype, "send", (text) => this.server.receive(newest(), text));
    this.join(null);
  }

  join(since) {
    this.client = makeClient();
    const { callbacks, messages } = this.view;
    const options = { ...this.options, ...callbacks, since, messages };
    this.follow = this.client.channels("c").follow(options);
    this.client.bind("@@error", ({ cause }) => {
      if (cause instanceof assert.AssertionError) this.failure ??= cause;
    });
  }

  #ask(url, { body, signal }) {
    return new Promise((resolve, reject) => {
      const connectionId = url.searchParams.get("connectionId");
      const request = { connectionId, body: JSON.parse(body), resolve, reject };
      this.server.requests.push(request);
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
  }

  acts = {
    publish: () => this.server.publish("hi"),
    publishMore: () => {
      for (let left = 2 + this.random.below(12); left > 0; left -= 1) this.server.publish("more");
    },
    whisper: () => this.server.whisper("…"),
    react: () => {
      const message = this.random.pick(this.server.messages);
      if (message)
        this.server.react(message, this.random.pick(["👍", "👎"]), this.random.pick("ab"));
    },
    delete: () => {
      const message = this.random.pick(this.server.messages);
      if (message) this.server.delete(message);
    },
    skip: () => this.server.skip(),
    deliver: () => this.deliver(1 + this.random.below(6)),
    deliverTwice: () => {
      const wire = this.server.wires.get(newest());
      if (this.server.isNumbered && wire?.length && wire[0].event !== "hotsock.subscribed") {
        newest().say(wire[0]);
      }
    },
    answer: () => this.answer(this.random.pick(this.server.requests)),
    fail: () => {
      const request = this.random.pick(this.server.requests);
      if (request) this.#finish(request, () => request.reject(new TypeError("no network")));
    },
    overload: () => {
      const request = this.random.pick(this.server.requests);
      if (request) this.#finish(request, () => request.resolve(response(503, {})));
    },
    cut: () => {
      this.server.cut(newest());
      newest()?.end();
    },
    connect: () => this.connect(),
    forgetful: () => (this.server.canRecover = !this.server.canRecover),
    purge: () => this.random.below(10) === 0 && this.server.isNumbered && this.restore([]),
    lose: () => {
      const { messages, isNumbered } = this.server;
      if (this.random.below(10) > 0 || !isNumbered) return;
      this.restore(messages.slice(0, this.random.below(messages.length + 1)));
    },
    reload: () => this.random.below(3) === 0 && this.reload(),
    time: () => pass(1500 * this.random.below(4)),
  };

  restore(messages) {
    this.server.restore(messages);
    newest()?.end();
  }

  reload() {
    const since = JSON.parse(JSON.stringify(this.follow.position));
    if (since === null) return;
    this.server.cut(newest());
    this.client.terminate();
    this.join(since);
  }

  connect() {
    const socket = newest();
    if (!socket || socket.connectionId || socket.closedWith !== null) return;
    socket.connectionId = `id-${FakeWebSocket.instances.length}`;
    socket.connect(socket.connectionId);
  }

  deliver(count) {
    const wire = this.server.wires.get(newest()) ?? [];
    for (const frame of wire.splice(0, count)) newest().say(frame);
  }

  /** First the server answers, then the answer arrives. */
  answer(request) {
    if (!request) return;
    if (request.page === undefined) request.page = this.server.list(request);
    else this.#finish(request, () => request.resolve(answerOf(request.page)));
  }

  #finish(request, act) {
    this.server.requests.splice(this.server.requests.indexOf(request), 1);
    act();
  }

  async run() {
    const often = ["connect", "deliver", "answer", "time"].flatMap((name) => Array(6).fill(name));
    const names = [...Object.keys(this.acts), ...often];
    for (let step = 0; step < STEPS && !this.failure; step += 1) {
      await this.acts[this.random.pick(names)]();
      await settle();
    }
    await this.rest();
    if (this.failure) throw this.failure;
    this.compare();
  }

  /** Nothing new happens, and all that is on its way arrives. */
  async rest() {
    for (let turn = 0; turn < 100 && !this.isAtRest; turn += 1) {
      this.connect();
      this.deliver(Infinity);
      for (const request of this.server.requests.slice()) this.answer(request);
      await pass(turn % 5 === 0 ? 4000 : 0);
    }
    assert.equal(this.follow.state, "live");
  }

  get isAtRest() {
    return this.follow.state === "live" && this.server.wires.get(newest())?.length === 0;
  }

  compare() {
    const { begin, shown } = this.view;
    const expected = this.server.messages.filter(({ id }) => begin !== null && id >= begin);
    const state = (all) => all.map(([id, keys]) => [id, [...keys].toSorted()]);
    assert.deepEqual(
      state([...shown]),
      state(expected.map(({ id, reactions }) => [id, reactions.keys()])),
    );
    assert.ok(this.view.caughtUp.length > 0);
  }
}

function response(status, answer) {
  return { ok: status === 200, status, json: async () => answer };
}

function answerOf(page) {
  if (page === null)
    return response(401, { error: { code: "INVALID_CONNECTION", message: "No." } });
  return response(200, { messages: page });
}

for (let run = 0; run < RUNS; run += 1) {
  test(`a follower misses nothing: FOLLOW_SEED=${SEED + run} FOLLOW_RUNS=1`, async (t) => {
    fakeWorld(t);
    await new World(t, SEED + run).run();
  });
}

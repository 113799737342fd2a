import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bindTo,
  connectedClient,
  fakeWorld,
  listen,
  makeClient,
  newest,
  ownEvents,
  pass,
  said,
  settle,
  sockets,
} from "./harness.js";

const HOUR = 3_600_000;

// Each brings a client into a state; the events are those that closing it then causes.
const STATES = {
  idle: [() => makeClient({ lazyConnection: true }), []],
  "connecting, waiting for a token": [() => makeClient(), []],
  "connecting, socket not open": [
    async () => {
      const client = makeClient();
      await settle();
      return client;
    },
    [],
  ],
  "connecting, socket open": [
    async () => {
      const client = makeClient();
      await settle();
      newest().open();
      return client;
    },
    ["@@disconnect 1000"],
  ],
  connected: [() => connectedClient(), ["@@disconnect 1000"]],
  "waiting after a connection": [
    async () => {
      const client = await connectedClient();
      newest().end(1013);
      return client;
    },
    [],
  ],
  "waiting for another token": [
    async () => {
      const client = makeClient({ connectTokenFn: () => null });
      await settle();
      return client;
    },
    [],
  ],
  stopped: [
    async () => {
      const client = makeClient({ connectTokenFn: () => null, connectTokenFnMaxAttempts: 1 });
      await settle();
      return client;
    },
    [],
  ],
  suspended: [
    async () => {
      const client = await connectedClient();
      client.suspend();
      return client;
    },
    [],
  ],
};

function provoke(client) {
  listen(client, "chat", { channel: "c" });
  client.sendMessage("chat", { channel: "d" });
}

for (const [name, [reach, expectedEvents]] of Object.entries(STATES)) {
  test(`suspend() while ${name} closes, and nothing connects until resume()`, async (t) => {
    fakeWorld(t);
    const client = await reach();
    const events = ownEvents(client);
    client.suspend();
    assert.equal(client.state, "suspended");
    assert.equal(client.activeConnection, null);
    assert.deepEqual(events, expectedEvents);
    const count = sockets.length;
    provoke(client);
    await pass(HOUR);
    assert.deepEqual([client.state, sockets.length], ["suspended", count]);
    for (const socket of sockets) assert.ok(socket.readyState >= 2, "no socket stays open");
  });

  test(`terminate() while ${name} closes for ever`, async (t) => {
    fakeWorld(t);
    const client = await reach();
    const events = ownEvents(client);
    client.terminate();
    assert.equal(client.state, "terminated");
    assert.deepEqual(events, expectedEvents);
    const count = sockets.length;
    provoke(client);
    client.terminate();
    client.suspend();
    client.resume();
    await pass(HOUR);
    assert.deepEqual([client.state, sockets.length], ["terminated", count]);
    for (const socket of sockets) assert.ok(socket.readyState >= 2, "no socket stays open");
  });
}

for (const name of ["connecting, socket open", "connected", "waiting after a connection"]) {
  test(`resume() after suspend() while ${name} connects with a fresh token`, async (t) => {
    fakeWorld(t);
    const client = await STATES[name][0]();
    client.suspend();
    client.resume();
    await settle();
    assert.equal(sockets.length, 2);
    assert.equal(newest().url.searchParams.get("token"), "token-2");
    newest().connect("again");
    assert.equal(client.activeConnection.connectionId, "again");
  });
}

test("resume() while waiting connects without waiting any longer", async (t) => {
  fakeWorld(t);
  const client = await STATES["waiting after a connection"][0]();
  client.resume();
  await settle();
  assert.equal(sockets.length, 2);
  newest().connect();
  await pass(9000);
  assert.deepEqual([client.state, sockets.length], ["connected", 2]);
});

for (const name of [
  "connecting, waiting for a token",
  "connecting, socket not open",
  "connected",
]) {
  test(`resume() while ${name} changes nothing`, async (t) => {
    fakeWorld(t);
    const client = await STATES[name][0]();
    const { state } = client;
    client.resume();
    assert.equal(client.state, state);
    await settle();
    assert.equal(sockets.length, 1);
  });
}

test("resume() while waiting leaves no earlier time to try behind", async (t) => {
  fakeWorld(t, { random: 0.5 });
  const client = await STATES["waiting after a connection"][0]();
  client.resume();
  await settle();
  newest().fail();
  await pass(999);
  assert.equal(sockets.length, 2);
  await pass(1);
  assert.equal(sockets.length, 3);
});

test("a token that arrives after suspend() opens nothing", async (t) => {
  fakeWorld(t);
  const answers = [];
  const client = makeClient({
    connectTokenFn: () => new Promise((resolve) => answers.push(resolve)),
  });
  await settle();
  client.suspend();
  client.resume();
  await settle();
  answers[0]("old");
  await settle();
  assert.equal(sockets.length, 0);
  answers[1]("new");
  await settle();
  assert.deepEqual(
    sockets.map(({ url }) => url.searchParams.get("token")),
    ["new"],
  );
});

test("late events of a suspended socket change nothing", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  const old = newest();
  client.suspend();
  const events = ownEvents(client);
  const frames = listen(client, /.*/);
  client.resume();
  await settle();
  old.say({ event: "chat", channel: "c" });
  old.end(1000);
  newest().connect("new");
  old.say({ event: "hotsock.subscribed", channel: "c" });
  await pass(1000);
  assert.deepEqual(events, ["@@connect"]);
  assert.deepEqual(
    frames.map(({ event }) => event),
    ["hotsock.connected"],
  );
  assert.equal(client.channels("c").subscribed, false);
  assert.equal(sockets.length, 2);
});

test("suspend() keeps bindings and channels; resume() subscribes again", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "chat", { channel: "c" });
  newest().subscribed("c", { uid: "jim" });
  client.suspend();
  assert.deepEqual([client.channels("c").uid, client.channels("c").subscribed], ["jim", false]);
  client.resume();
  await settle();
  newest().connect();
  assert.deepEqual(said(), ["hotsock.subscribe c"]);
  newest().subscribed("c");
  newest().say({ event: "chat", channel: "c" });
  assert.equal(heard.length, 1);
});

test("terminate() ends all bindings, and calls afterwards do nothing but warn", async (t) => {
  fakeWorld(t);
  const warnings = [];
  t.mock.method(console, "warn", (_, warning) => warnings.push(warning));
  const client = await connectedClient({ logLevel: "warn" });
  const heard = listen(client, /.*/);
  const socket = newest();
  client.terminate();
  client.sendMessage("chat", { channel: "c" });
  client.sendRawMessage("{}");
  const binding = client.bind("chat", () => {}, { channel: "c" });
  binding.unbind();
  assert.deepEqual([heard, socket.sent], [[], []]);
  assert.deepEqual(
    warnings.map((warning) => warning.split("(")[0]),
    ["sendMessage", "sendRawMessage", "bind"],
  );
});

const CLOSERS = ["suspend", "terminate"];
const MOMENTS = [
  ["@@connect", () => newest().connect()],
  ["hotsock.connected", () => newest().connect()],
  ["@@disconnect", () => (newest().connect(), newest().end())],
  ["@@error", () => newest().fail()],
  ["@@message", () => newest().connect()],
];

for (const call of CLOSERS) {
  for (const [event, act] of MOMENTS) {
    test(`${call}() in a callback of ${event} holds`, async (t) => {
      fakeWorld(t);
      const client = makeClient();
      client.bind(event, () => client[call]());
      await settle();
      act();
      await pass(HOUR);
      assert.equal(sockets.length, 1);
      assert.equal(client.state, call === "suspend" ? "suspended" : "terminated");
    });
  }
}

const REASONS = [
  ["suspend", "suspended"],
  ["terminate", "terminated"],
];

for (const [call, reason] of REASONS) {
  test(`@@disconnect says that ${call}() closed in order`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const closes = listen(client, "@@disconnect");
    client[call]();
    assert.deepEqual(closes, [{ type: "close", code: 1000, reason, wasClean: true }]);
  });

  test(`after ${call}() no timer goes on`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient({ heartbeatIntervalSeconds: 5 });
    bindTo(client);
    newest().refuse("hotsock.subscribe", "c", "RATE_LIMITED");
    client[call]();
    const timers = t.mock.method(globalThis, "setTimeout");
    newest().say({ event: "chat", channel: "c" });
    await pass(HOUR);
    assert.equal(timers.mock.callCount(), 0);
  });
}

test("after terminate() in a callback no other is called", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.bind("chat", () => client.terminate());
  const heard = listen(client, "chat");
  newest().say({ event: "chat" });
  assert.deepEqual(heard, []);
});

test("suspend() in @@error when a handshake takes too long holds", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  client.bind("@@error", () => client.suspend());
  await settle();
  newest().open();
  await pass(5000);
  await pass(HOUR);
  assert.deepEqual([client.state, sockets.length], ["suspended", 1]);
});

test("resume() in @@disconnect connects once", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.bind("@@disconnect", () => client.resume());
  newest().end(1013);
  await settle();
  assert.equal(sockets.length, 2);
  await pass(5000 - 1);
  assert.equal(sockets.length, 2);
});

const NEEDS = [
  ["a bind of a channel", (client) => listen(client, "chat", { channel: "c" }), true],
  ["a message", (client) => client.sendMessage("chat", { channel: "c" }), true],
  ["a raw message", (client) => client.sendRawMessage("{}"), true],
  ["resume()", (client) => client.resume(), true],
  ["a bind without a channel", (client) => listen(client, "chat"), false],
  ["channels()", (client) => client.channels("c"), false],
  ["unbind()", (client) => client.unbind("chat", { channel: "c" }), false],
];

for (const [what, need, connects] of NEEDS) {
  test(`a lazy client ${connects ? "connects" : "does not connect"} because of ${what}`, async (t) => {
    fakeWorld(t);
    const client = makeClient({ lazyConnection: true });
    await pass(HOUR);
    assert.deepEqual([client.state, sockets.length], ["idle", 0]);
    need(client);
    assert.equal(client.state, connects ? "connecting" : "idle");
    await settle();
    assert.equal(sockets.length, connects ? 1 : 0);
  });
}

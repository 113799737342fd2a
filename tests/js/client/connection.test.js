import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectedClient,
  fakeWorld,
  listen,
  makeClient,
  newest,
  ownEvents,
  pass,
  settle,
  sockets,
} from "./harness.js";

const AT_ONCE = 1; // a timer of 0 ms runs with the next tick

const tokens = () => sockets.map(({ url }) => url.searchParams.get("token"));

test("the client connects at once, with the token in the address", async (t) => {
  fakeWorld(t);
  const client = makeClient({ connectTokenFn: () => "a+b/c=&d" });
  assert.equal(client.state, "connecting");
  await settle();
  assert.equal(newest().url.origin + newest().url.pathname, "wss://chat.test/v1");
  assert.equal(newest().url.searchParams.get("token"), "a+b/c=&d");
});

test("connectTokenFn is not called before the constructor has returned", async (t) => {
  fakeWorld(t);
  const states = [];
  const client = makeClient({
    connectTokenFn: async () => {
      states.push(client.state);
      return "token";
    },
  });
  await settle();
  assert.deepEqual(states, ["connecting"]);
});

test("hotsock.connected makes the connection active, before its callbacks run", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const seen = [];
  client.bind("hotsock.connected", () => seen.push([client.state, client.activeConnection]));
  await settle();
  newest().open();
  assert.equal(client.state, "connecting");
  assert.equal(client.activeConnection, null);
  newest().connect("id=");
  const active = {
    connectionId: "id=",
    connectionSecret: "secret of id=",
    connectionExpiresAt: "2030-01-02T03:04:05Z",
  };
  assert.deepEqual(seen, [["connected", active]]);
});

const CLOSES = [
  ["expired or idle", 1001, AT_ONCE],
  ["restarting", 1012, 250],
  ["network broken", 1006, AT_ONCE],
  ["normal", 1000, AT_ONCE],
  ["heartbeat missed", 4408, AT_ONCE],
  ["try again later", 1013, 500],
  ["revoked", 4403, 500],
  ["reads too slowly", 4410, 500],
  ["sends too fast", 4429, 500],
];

for (const [what, code, wait] of CLOSES) {
  test(`after close ${code} (${what}) it connects anew within ${wait} ms`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const client = await connectedClient();
    newest().end(code);
    assert.equal(client.state, "waiting");
    assert.equal(client.activeConnection, null);
    if (wait > AT_ONCE) {
      await pass(wait - 1);
      assert.equal(sockets.length, 1);
    }
    await pass(1);
    assert.deepEqual(tokens(), ["token-1", "token-2"]);
  });
}

test("each refused handshake doubles the ceiling of the wait, up to 30 s", async (t) => {
  fakeWorld(t, { random: 0.5 });
  makeClient();
  await settle();
  for (const wait of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    const count = sockets.length;
    newest().fail();
    await pass(wait - 1);
    assert.equal(sockets.length, count, `not before ${wait} ms`);
    await pass(1);
    assert.equal(sockets.length, count + 1, `after ${wait} ms`);
  }
  assert.deepEqual(
    tokens(),
    [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `token-${n}`),
  );
});

test("connections that break soon are not met at once more than once", async (t) => {
  fakeWorld(t, { random: 0.5 });
  await connectedClient();
  for (const wait of [AT_ONCE, 1000, 2000, 4000]) {
    newest().end();
    await pass(wait);
    newest().connect();
  }
  assert.equal(sockets.length, 5);
  newest().end();
  await pass(7999);
  assert.equal(sockets.length, 5);
});

const LIVES = [
  [10_000, "makes earlier failures forgotten", 3],
  [9999, "does not make earlier failures forgotten", 2],
];

for (const [life, what, expected] of LIVES) {
  test(`a connection that lasted ${life} ms ${what}`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    await connectedClient();
    newest().end();
    await pass(AT_ONCE);
    newest().connect();
    await pass(life);
    newest().end();
    await pass(AT_ONCE);
    assert.equal(sockets.length, expected);
  });
}

test("a connection that broke before it was stable is not stable later", async (t) => {
  fakeWorld(t, { random: 0.5 });
  await connectedClient();
  await pass(9000);
  newest().end();
  await pass(AT_ONCE);
  await pass(999); // the time at which the first would have been stable
  newest().connect();
  newest().end();
  await pass(999);
  assert.equal(sockets.length, 2);
  await pass(1);
  assert.equal(sockets.length, 3);
});

test("a socket that cannot be made counts as a refused handshake", async (t) => {
  fakeWorld(t, { random: 0.5 });
  const client = makeClient();
  const events = ownEvents(client);
  const Working = globalThis.WebSocket;
  globalThis.WebSocket = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  await settle();
  assert.deepEqual(events, ["@@error SOCKET_FAILED"]);
  globalThis.WebSocket = Working;
  await pass(500);
  newest().connect();
  assert.equal(client.state, "connected");
});

const SILENCES = [
  ["never opens", () => {}, ["@@error HANDSHAKE_TIMEOUT"]],
  [
    "opens and says nothing",
    (socket) => socket.open(),
    ["@@connect", "@@error HANDSHAKE_TIMEOUT", "@@disconnect 1006"],
  ],
  [
    "says hotsock.connected without credentials",
    (socket) => {
      socket.open();
      const [connectionId, connectionSecret] = ["id", "secret"];
      for (const data of [undefined, null, 7, "x", {}, { connectionId }, { connectionSecret }]) {
        socket.say({ event: "hotsock.connected", data });
      }
    },
    ["@@connect", "@@error HANDSHAKE_TIMEOUT", "@@disconnect 1006"],
  ],
];

for (const [what, act, expected] of SILENCES) {
  test(`a socket that ${what} is given up after 5 s`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const client = makeClient();
    const events = ownEvents(client);
    await settle();
    act(newest());
    await pass(4999);
    assert.equal(client.state, "connecting");
    await pass(1);
    assert.equal(client.state, "waiting");
    assert.equal(newest().closedWith, 1000);
    assert.deepEqual(events, expected);
    await pass(500);
    assert.equal(sockets.length, 2);
  });
}

test("the handshake's limit does not end a connection", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  await pass(5000);
  assert.equal(client.state, "connected");
});

test("late events of a socket that was given up change nothing", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const events = ownEvents(client);
  const frames = listen(client, /.*/);
  const messages = listen(client, "@@message");
  await settle();
  const old = newest();
  await pass(5000);
  await pass(1000);
  newest().connect("new");
  events.length = frames.length = messages.length = 0;
  old.open();
  old.connect("old");
  old.say({ event: "chat" });
  old.fail();
  await pass(1000);
  assert.equal(client.activeConnection.connectionId, "new");
  assert.deepEqual([events, frames, messages, sockets.length], [[], [], [], 2]);
});

test("@@connect, @@disconnect and @@error tell what the sockets do", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = makeClient();
  const events = ownEvents(client);
  await settle();
  newest().fail();
  await pass(AT_ONCE);
  newest().connect();
  newest().end(1012, "restarting");
  assert.deepEqual(events, ["@@error SOCKET_FAILED", "@@connect", "@@disconnect 1012"]);
});

test("@@message brings all that is received as it came, also what is no frame", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const messages = listen(client, "@@message");
  const sent = listen(client, "@@messageSent");
  newest().say({ event: "chat" });
  newest().say("no JSON");
  client.sendRawMessage('{ "event": "mine" }');
  assert.deepEqual(
    messages.map(({ data }) => data),
    ['{"event":"chat"}', "no JSON"],
  );
  assert.deepEqual(sent, ['{ "event": "mine" }']);
});

const MALFORMED = [
  ["no JSON", "{"],
  ["no object", "[]"],
  ["no event", "{}"],
  ["binary", new Uint8Array([123, 125])],
];

for (const [what, text] of MALFORMED) {
  test(`a message that is ${what} goes to @@error, and the connection goes on`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const events = ownEvents(client);
    const heard = listen(client, "chat");
    newest().say(text instanceof Uint8Array ? text.buffer : text);
    newest().say({ event: "chat" });
    assert.deepEqual(events, ["@@error INVALID_FRAME"]);
    assert.equal(heard.length, 1);
    assert.equal(client.state, "connected");
  });
}

const UNKNOWN_SHAPES = [
  { event: "hotsock.unheardOf", channel: "c" },
  { event: "hotsock.error" },
  { event: "hotsock.error", channel: "c", error: "text" },
  { event: "hotsock.error", channel: "c", error: { code: 7 } },
  { event: "hotsock.error", error: { code: "NOT_SUBSCRIBED", event: "chat" } },
  { event: "hotsock.error", error: { code: "ALREADY_SUBSCRIBED", event: "hotsock.subscribe" } },
  { event: "hotsock.subscribed" },
  { event: "hotsock.subscribed", channel: "c", data: null, meta: null },
  { event: "hotsock.subscribed", channel: "c", data: 1, meta: "x" },
  { event: "hotsock.subscribed", channel: "c", meta: { channelAlias: { not: "a name" } } },
  { event: "hotsock.unsubscribed", channel: null },
  { event: "hotsock.memberAdded", channel: "c", data: { members: "everybody" } },
  { event: "hotsock.umdUpdated", channel: "c" },
  { event: "hotsock.connected", data: { connectionId: "other", connectionSecret: "s" } },
  { event: "hotsock.pong", data: "{}" },
  { event: "hotsock.keepAlive", data: {} },
];

for (const frame of UNKNOWN_SHAPES) {
  test(`${JSON.stringify(frame)} reaches its bindings and breaks nothing`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    listen(client, "unused", { channel: "c" });
    newest().subscribed("c");
    const events = ownEvents(client);
    const heard = listen(client, frame.event);
    newest().say(frame);
    assert.deepEqual([heard, events], [[frame], []]);
    assert.equal(client.activeConnection.connectionId, "id-1");
    assert.deepEqual(client.channels("c").members, []);
  });
}

test("a message whose @@message callback closes the client goes no further", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const heard = listen(client, /.*/);
  client.bind("@@message", () => client.suspend());
  await settle();
  newest().connect();
  assert.deepEqual([heard, client.state, client.activeConnection], [[], "suspended", null]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectedClient,
  fakeWorld,
  listen,
  newest,
  ownEvents,
  pass,
  said,
  sockets,
} from "./harness.js";

const PING = "hotsock.ping";
const HEARTBEAT = "hotsock.heartbeat";

test("after 30 s in which nothing was heard, the client pings", async (t) => {
  fakeWorld(t);
  await connectedClient();
  await pass(29_999);
  assert.deepEqual(said(), []);
  await pass(1);
  assert.deepEqual(said(), [PING]);
});

test("any frame puts the ping off", async (t) => {
  fakeWorld(t);
  await connectedClient();
  await pass(20_000);
  newest().say({ event: "chat", channel: "c" });
  await pass(29_999);
  assert.deepEqual(said(), []);
  await pass(1);
  assert.deepEqual(said(), [PING]);
});

const ANSWERS = [
  { event: "hotsock.pong", data: "{}" },
  { event: "chat", channel: "c" },
];

for (const answer of ANSWERS) {
  test(`${answer.event} within 5 s is answer enough, and the next ping follows in 30 s`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    await pass(30_000);
    await pass(4999);
    newest().say(answer);
    await pass(29_999);
    assert.deepEqual([client.state, said()], ["connected", [PING]]);
    await pass(1);
    assert.deepEqual(said(), [PING, PING]);
  });
}

test("without an answer the connection is dead after 5 s, and the client connects at once", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const events = ownEvents(client);
  const closes = listen(client, "@@disconnect");
  await pass(30_000);
  await pass(4999);
  assert.equal(client.state, "connected");
  await pass(1);
  assert.deepEqual(events, ["@@error SOCKET_SILENT", "@@disconnect 1006"]);
  assert.deepEqual([closes[0].type, closes[0].wasClean], ["close", false]);
  await pass(1);
  assert.equal(sockets.length, 2);
  newest().connect();
  assert.equal(client.state, "connected");
});

test("what a dead socket still says is not heard", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  await pass(30_000);
  await pass(5000);
  const [dead] = sockets;
  await pass(1);
  newest().connect("new");
  const events = ownEvents(client);
  dead.say({ event: "hotsock.pong" });
  dead.end(1006);
  await pass(1);
  assert.deepEqual([events, client.activeConnection.connectionId], [[], "new"]);
});

const HEARTBEATS = [
  ["never later than the interval", 0, 20_000],
  ["up to a tenth earlier", 1, 18_000],
];

for (const [what, random, interval] of HEARTBEATS) {
  test(`heartbeats are sent ${what}`, async (t) => {
    fakeWorld(t, { random });
    await connectedClient({ heartbeatIntervalSeconds: 20 });
    await pass(interval - 1);
    assert.deepEqual(said(), []);
    await pass(1);
    assert.deepEqual(said(), [HEARTBEAT]);
    newest().say({ event: "hotsock.keepAlive", data: {} });
    await pass(interval);
    assert.deepEqual(said(), [HEARTBEAT, HEARTBEAT]);
  });
}

/** A JWT as far as its reader is concerned; in Base64 without padding. */
function tokenWith(claims) {
  const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
  return `e30.${payload}.signature`;
}

const ALL_CHARACTERS = { uid: "Zoë ~~~ ÿÿÿ >>> ???", umd: "日本語 ❤️" }; // - and _ in Base64
const BY_TOKEN = [
  ["two thirds of what the token says", { heartbeatTimeout: 30 }, {}, 20_000],
  ["whatever else it says", { ...ALL_CHARACTERS, heartbeatTimeout: 15 }, {}, 10_000],
  ["what the options say", { heartbeatTimeout: 30 }, { heartbeatIntervalSeconds: 7 }, 7000],
];

for (const [what, claims, options, interval] of BY_TOKEN) {
  test(`how often heartbeats are sent: ${what}`, async (t) => {
    fakeWorld(t, { random: 0 });
    await connectedClient({ connectTokenFn: () => tokenWith(claims), ...options });
    await pass(interval - 1);
    assert.deepEqual(said(), []);
    await pass(1);
    assert.deepEqual(said(), [HEARTBEAT]);
  });
}

const NO_HEARTBEATS = [
  ["the token does not ask for them", { connectTokenFn: () => tokenWith({ uid: "jim" }) }],
  ["the token says null", { connectTokenFn: () => tokenWith({ heartbeatTimeout: null }) }],
  ["the token is none", { connectTokenFn: () => "a.b!.c" }],
  ["the token holds no claims", { connectTokenFn: () => tokenWith(null) }],
  [
    "the options say so",
    { connectTokenFn: () => tokenWith({ heartbeatTimeout: 30 }), heartbeatIntervalSeconds: 0 },
  ],
];

for (const [when, options] of NO_HEARTBEATS) {
  test(`there are no heartbeats where ${when}`, async (t) => {
    fakeWorld(t);
    await connectedClient(options);
    await pass(25_000);
    assert.deepEqual(said(), []);
  });
}

test("each connection keeps to the token that it was opened with", async (t) => {
  fakeWorld(t, { random: 0 });
  const claims = [{ heartbeatTimeout: 30 }, { heartbeatTimeout: 15 }];
  await connectedClient({ connectTokenFn: () => tokenWith(claims.shift()) });
  newest().end();
  await pass(1);
  newest().connect();
  await pass(10_000);
  assert.deepEqual(said(), [HEARTBEAT]);
});

test("without an interval there are no heartbeats", async (t) => {
  fakeWorld(t);
  await connectedClient();
  for (let seconds = 0; seconds < 600; seconds += 20) {
    await pass(20_000);
    newest().say({ event: "hotsock.keepAlive", data: {} });
  }
  assert.deepEqual(said(), []);
});

for (const call of ["suspend", "terminate"]) {
  test(`${call}() ends pings and heartbeats`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient({ heartbeatIntervalSeconds: 5 });
    client[call]();
    await pass(60_000);
    assert.deepEqual([newest().sent, newest().discarded], [[], []]);
  });
}

test("a new connection has heartbeats of its own, once", async (t) => {
  fakeWorld(t, { random: 0 });
  await connectedClient({ heartbeatIntervalSeconds: 5 });
  newest().end();
  await pass(1);
  newest().connect();
  await pass(5000);
  assert.deepEqual(said(), [HEARTBEAT]);
});

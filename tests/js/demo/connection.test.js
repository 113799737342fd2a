import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../../../static/chat/demo/model/api.js";
import { Connection } from "../../../static/chat/demo/model/connection.js";
import { fakeWorld, makeClient, newest, pass, settle, sockets } from "../client/harness.js";
import { CHANNEL } from "./harness.js";

async function connect(t, { token = async () => "token", offline = () => null } = {}) {
  fakeWorld(t);
  const connection = new Connection({ channel: CHANNEL, token, createClient: makeClient, offline });
  const events = [];
  for (const type of ["subscribed", "lost", "typing", "refused"]) {
    connection.addEventListener(type, ({ detail }) => events.push(detail ? [type, detail] : type));
  }
  t.after(() => connection.close());
  await settle();
  return { connection, events };
}

function subscribe() {
  newest().connect();
  newest().subscribed(CHANNEL);
}

test("it is connecting until the channel is subscribed, then live", async (t) => {
  const { connection, events } = await connect(t);
  assert.equal(connection.phase, "connecting");
  newest().connect("id-1");
  assert.equal(connection.phase, "connecting");
  newest().subscribed(CHANNEL);
  assert.deepEqual([connection.phase, connection.notice, events], ["live", null, ["subscribed"]]);
});

test("a lost connection is told, and comes back by itself with a fresh token", async (t) => {
  let tokens = 0;
  const { connection, events } = await connect(t, { token: async () => `token-${++tokens}` });
  subscribe();
  newest().end(1012);
  assert.equal(connection.phase, "reconnecting");
  assert.match(connection.notice, /was lost/);
  await pass(1000);
  subscribe();
  assert.deepEqual([connection.phase, events], ["live", ["subscribed", "lost", "subscribed"]]);
  assert.deepEqual(
    sockets.map(({ url }) => url.searchParams.get("token")),
    ["token-1", "token-2"],
  );
});

test("a failing token endpoint is told in its words, and tried again without end", async (t) => {
  let isDown = true;
  const token = async () => {
    if (isDown) throw new ApiError("The server cannot be reached.", 0);
    return "token";
  };
  const { connection } = await connect(t, { token });
  for (let tries = 0; tries < 20; tries += 1) await pass(30_000);
  assert.equal(connection.phase, "failed");
  assert.match(connection.notice, /The server cannot be reached\. Trying again/);
  isDown = false;
  await pass(30_000);
  subscribe();
  assert.deepEqual([connection.phase, connection.notice], ["live", null]);
});

test("a refused handshake is told", async (t) => {
  const { connection } = await connect(t);
  newest().fail();
  assert.equal(connection.phase, "failed");
  assert.match(connection.notice, /did not accept the connection/);
});

test("the end of a live connection is no refusal", async (t) => {
  const { connection } = await connect(t);
  subscribe();
  newest().fail();
  assert.equal(connection.phase, "reconnecting");
});

test("who may not subscribe is told so, and can try again on a new connection", async (t) => {
  const { connection } = await connect(t);
  newest().connect();
  newest().refuse("hotsock.subscribe", CHANNEL, "SUBSCRIBE_PERMISSION_DENIED");
  assert.equal(connection.phase, "failed");
  assert.match(connection.notice, /does not let this person/);
  connection.retry();
  await settle();
  assert.equal(sockets.length, 2);
  subscribe();
  assert.equal(connection.phase, "live");
});

test("Try again does not wait for the next turn", async (t) => {
  const { connection } = await connect(t);
  newest().fail();
  connection.retry();
  await settle();
  assert.equal(sockets.length, 2);
});

test("a device without a network is told as offline", async (t) => {
  let words = null;
  const { connection } = await connect(t, { offline: () => words });
  subscribe();
  words = "This device is offline.";
  assert.equal(connection.phase, "live"); // a server on this very device is still there
  newest().end();
  assert.equal(connection.phase, "offline");
  assert.match(connection.notice, /device is offline/);
});

test("refusals are handed on", async (t) => {
  const { events } = await connect(t);
  subscribe();
  newest().refuse("chat", CHANNEL, "RATE_LIMITED");
  assert.deepEqual(events.slice(1), [["refused", { event: "chat", code: "RATE_LIMITED" }]]);
});

test("of a frame that was sent to be refused, and of other channels, nothing is handed on", async (t) => {
  const { connection, events } = await connect(t);
  subscribe();
  newest().refuse("hotsock.messageReaction", CHANNEL, "REACT_PERMISSION_DENIED", "look-inside-1");
  newest().refuse("hotsock.subscribe", "another", "SUBSCRIBE_PERMISSION_DENIED");
  newest().end();
  assert.deepEqual([events, connection.phase], [["subscribed", "lost"], "reconnecting"]);
});

test("a message is sent with its ack, and what becomes of it is told", async (t) => {
  const { connection } = await connect(t);
  subscribe();
  const ack = "a".repeat(32);
  const outcome = connection.send("chat", "hi", { ack });
  assert.deepEqual(newest().frames.at(-1), { event: "chat", channel: CHANNEL, data: "hi", ack });
  newest().acknowledge(ack, { id: "01J" });
  assert.deepEqual(await outcome, { status: "sent", id: "01J" });
});

test("who of the others types is told", async (t) => {
  const { events } = await connect(t);
  subscribe();
  for (const uid of ["jim", "pam"]) {
    newest().say({ event: "is-typing", channel: CHANNEL, data: null, meta: { uid } });
  }
  assert.deepEqual(events.slice(1), [["typing", ["pam"]]]);
});

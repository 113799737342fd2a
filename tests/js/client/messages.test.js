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
  said,
  settle,
  sockets,
} from "./harness.js";

const MAX_WAITING = 256;

const FRAMES = [
  [undefined, '{"event":"chat","channel":"c"}'],
  [{}, '{"event":"chat","channel":"c"}'],
  [{ data: undefined }, '{"event":"chat","channel":"c"}'],
  [{ data: null }, '{"event":"chat","channel":"c","data":null}'],
  [{ data: "" }, '{"event":"chat","channel":"c","data":""}'],
  [{ data: 0 }, '{"event":"chat","channel":"c","data":0}'],
  [{ data: false }, '{"event":"chat","channel":"c","data":false}'],
  [{ data: [1, { a: "❤️" }] }, '{"event":"chat","channel":"c","data":[1,{"a":"❤️"}]}'],
  [{ data: 1, key: "k" }, '{"event":"chat","channel":"c","data":1,"key":"k"}'],
  [
    { scheduleExpression: "at(2030-01-01T00:00:00)", scheduleExpressionTimezone: "Europe/Vienna" },
    '{"event":"chat","channel":"c","scheduleExpression":"at(2030-01-01T00:00:00)",' +
      '"scheduleExpressionTimezone":"Europe/Vienna"}',
  ],
];

for (const [options, text] of FRAMES) {
  test(`${JSON.stringify(options)} is sent as ${text}`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    client.channels("c").sendMessage("chat", options);
    client.sendMessage("chat", { ...options, channel: "c" });
    const acks = newest().frames.map(({ ack }) => ack);
    assert.deepEqual(
      newest().sent,
      acks.map((ack) => text.replace(/}$/, `,"ack":"${ack}"}`)),
    );
    assert.equal(new Set(acks).size, 2);
    for (const ack of acks) assert.match(ack, /^[0-9a-f]{32}$/);
  });
}

test("a message without a channel has none", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.sendMessage("hotsock.ping");
  assert.deepEqual(newest().sent, ['{"event":"hotsock.ping"}']);
});

test("a channel's own name wins over one in the options", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.channels("c").sendMessage("chat", { channel: "d" });
  assert.deepEqual(said(), ["chat c"]);
});

const cyclic = {};
cyclic.self = cyclic;

const REFUSED = [
  ["no event", (client) => client.sendMessage()],
  ["an empty event", (client) => client.sendMessage("", { channel: "c" })],
  ["a channel that is no string", (client) => client.sendMessage("chat", { channel: 1 })],
  ["an empty channel", (client) => client.sendMessage("chat", { channel: "" })],
  ["data that refers to itself", (client) => client.sendMessage("chat", { data: cyclic })],
  ["a bigint", (client) => client.sendMessage("chat", { data: 1n })],
  ["a raw message that is no string", (client) => client.sendRawMessage({ event: "chat" })],
];

for (const [what, send] of REFUSED) {
  test(`${what} is refused at once`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    assert.throws(() => send(client), TypeError);
    assert.deepEqual(said(), []);
  });
}

test("what is sent before connecting is sent after it, in order", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const events = ownEvents(client);
  client.sendMessage("one", { channel: "c" });
  client.sendRawMessage('{"event":"two"}');
  client.sendMessage("three", { channel: "d" });
  await settle();
  newest().open();
  assert.deepEqual(said(), []);
  newest().connect();
  client.sendMessage("four", { channel: "c" });
  assert.deepEqual(said(), ["one c", "two", "three d", "four c"]);
  assert.deepEqual(events, ["@@connect"]);
});

test("what is sent while a channel is being subscribed waits for it, and only that", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  client.sendMessage("one", { channel: "c" });
  client.sendMessage("elsewhere", { channel: "d" });
  client.sendRawMessage('{"event":"raw"}');
  client.sendMessage("two", { channel: "c" });
  assert.deepEqual(said(), ["hotsock.subscribe c", "elsewhere d", "raw"]);
  newest().subscribed("c");
  client.sendMessage("three", { channel: "c" });
  assert.deepEqual(said().slice(3), ["one c", "two c", "three c"]);
});

test("what a callback sends comes after what waited", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const send = (event) => client.sendMessage(event, { channel: "c" });
  client.bind("hotsock.connected", () => send("after connecting"));
  client.bind("hotsock.subscribed", () => send("after subscribing"), { channel: "c" });
  const binding = client.bind("@@messageSent", (text) => {
    if (!text.includes("one")) return;
    binding.unbind();
    send("after one");
  });
  send("one");
  send("two");
  await settle();
  newest().connect();
  newest().subscribed("c");
  const expected = ["one", "two", "after connecting", "after one", "after subscribing"];
  assert.deepEqual(
    said().slice(1),
    expected.map((event) => `${event} c`),
  );
});

test("messages keep their order across reconnects, what was not answered first", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  newest().subscribed("c", { data: { position: 0, epoch: "e" } });
  let count = 0;
  const send = () => client.sendMessage(`m${(count += 1)}`, { channel: "c" });
  send();
  newest().end();
  send();
  await pass(1);
  send();
  newest().connect();
  send();
  newest().end();
  send();
  await pass(1);
  newest().fail();
  await pass(1);
  newest().connect();
  send();
  newest().subscribed("c");
  send();
  const perSocket = sockets.map((socket) => said(socket).filter((text) => text.startsWith("m")));
  const all = ["m1 c", "m2 c", "m3 c", "m4 c", "m5 c", "m6 c", "m7 c"];
  assert.deepEqual(perSocket, [["m1 c"], [], [], all]);
});

test("what is sent while the socket closes waits for the next one", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  newest().readyState = 2; // CLOSING: its close event has not come yet
  client.sendMessage("chat", { channel: "c" });
  assert.deepEqual([newest().sent, newest().discarded], [[], []]);
  newest().end();
  await pass(1);
  newest().connect();
  assert.deepEqual(said(), ["chat c"]);
});

test("nothing is said to be sent while the socket closes", async (t) => {
  fakeWorld(t);
  const client = await connectedClient({ heartbeatIntervalSeconds: 5 });
  const sent = listen(client, "@@messageSent");
  newest().readyState = 2; // CLOSING
  await pass(30_000);
  assert.deepEqual([sent, newest().discarded], [[], []]);
});

test("messages wait through suspend()", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  client.sendMessage("one", { channel: "c" });
  client.suspend();
  client.sendMessage("two", { channel: "c" });
  client.resume();
  await settle();
  newest().connect();
  assert.deepEqual(said(), ["one c", "two c"]);
});

test("a channel that nobody is bound to needs no subscription", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const binding = client.bind("chat", () => {}, { channel: "c" });
  client.sendMessage("waits", { channel: "c" });
  newest().refuse("hotsock.subscribe", "c", "RATE_LIMITED");
  binding.unbind();
  assert.deepEqual(said(), ["hotsock.subscribe c", "waits c"]);
});

test("what was sent before the last unbind still goes out, before the unsubscribe", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  client.sendMessage("goodbye", { channel: "c" });
  client.clearBindings();
  newest().subscribed("c");
  assert.deepEqual(said(), ["hotsock.subscribe c", "goodbye c", "hotsock.unsubscribe c"]);
});

test("where the channel refuses us, what waited goes to @@error, and only that", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  for (const channel of ["c", "d"]) listen(client, "chat", { channel });
  const errors = listen(client, "@@error");
  client.sendMessage("chat", { channel: "c", data: { text: "one" } });
  client.sendMessage("chat", { channel: "d", data: 2 });
  client.sendMessage("is-typing", { channel: "c" });
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  newest().subscribed("d");
  assert.deepEqual(
    errors.map(({ code, channel, event, data }) => [code, channel, event, data]),
    [
      ["SUBSCRIBE_REFUSED", "c", "chat", { text: "one" }],
      ["SUBSCRIBE_REFUSED", "c", "is-typing", undefined],
    ],
  );
  assert.ok(errors.every((error) => error instanceof Error && error.type === "error"));
  assert.deepEqual(said().slice(2), ["chat d 2"]);
});

test("a message for a channel that has refused us is the server's to judge", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  client.sendMessage("broadcast", { channel: "c" });
  newest().refuse("broadcast", "c", "NOT_SUBSCRIBED");
  assert.deepEqual(said(), ["hotsock.subscribe c", "broadcast c"]);
});

test(`the ${MAX_WAITING + 1}st message that would have to wait goes to @@error`, async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const events = ownEvents(client);
  const errors = listen(client, "@@error");
  for (let n = 1; n <= MAX_WAITING; n += 1) client.sendMessage("chat", { channel: "c", data: n });
  assert.deepEqual(events, []);
  client.sendMessage("chat", { channel: "c", data: "too many" });
  assert.deepEqual(
    errors.map(({ code, channel, event, data }) => [code, channel, event, data]),
    [["QUEUE_FULL", "c", "chat", "too many"]],
  );
  await settle();
  newest().connect();
  const numbers = newest().frames.map(({ data }) => data);
  assert.deepEqual(
    numbers,
    Array.from({ length: MAX_WAITING }, (_, index) => index + 1),
  );
});

test("messages that need not wait pass a full queue", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  for (let n = 1; n <= MAX_WAITING; n += 1) client.sendMessage("chat", { channel: "c" });
  client.sendMessage("chat", { channel: "d" });
  assert.equal(said().at(-1), "chat d");
});

test("terminate() forgets what waits", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  client.sendMessage("chat", { channel: "c" });
  client.terminate();
  newest().subscribed("c");
  await pass(60_000);
  assert.deepEqual(said(), ["hotsock.subscribe c"]);
});

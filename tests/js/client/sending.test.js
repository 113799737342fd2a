// What becomes of a message: the promise of sendMessage, and what is sent again.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { encode } from "../../../static/chat/client/frames.js";
import {
  connectedClient,
  fakeWorld,
  listen,
  makeClient,
  newest,
  pass,
  reconnect,
  said,
  settle,
} from "./harness.js";

const MAX_AGAIN = 200;
const ACK = "0123456789abcdef";

/** Sends to a channel that nobody is bound to; its outcome, from settle() on, is in the result. */
function send(client, event = "chat", options = {}) {
  const result = {};
  client.sendMessage(event, { channel: "c", ...options }).then((outcome) => (result.is = outcome));
  return result;
}

async function codeOf(result) {
  await settle();
  return result.is?.code;
}

/** A client that is connected to a server which has shown that it acknowledges. */
async function acknowledgedClient() {
  const client = await connectedClient();
  newest().acknowledge(ACK);
  return client;
}

const lastAck = () => newest().frames.at(-1).ack;

/** A client that is subscribed to "c", where the server has shown that it acknowledges. */
async function subscribedClient() {
  const client = await acknowledgedClient();
  listen(client, "chat", { channel: "c" });
  newest().subscribed("c");
  return client;
}

const ANSWERS = [
  [{ id: "01J", position: 7 }, { id: "01J", position: 7 }],
  [{ id: "01J", position: null }, { id: "01J" }],
  [{ position: 8, repeated: true }, { position: 8, repeated: true }],
  [{ scheduleArn: "s", other: 1 }, { scheduleArn: "s" }],
];

for (const [data, fields] of ANSWERS) {
  test(`acknowledged with ${JSON.stringify(data)}, a message is sent`, async (t) => {
    fakeWorld(t);
    const result = send(await connectedClient());
    await settle();
    assert.equal(result.is, undefined);
    newest().acknowledge(lastAck(), data);
    await settle();
    assert.deepEqual(result.is, { status: "sent", ...fields });
  });
}

test("a refusal is of the message whose ack it names", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const [one, two] = [send(client), send(client)];
  newest().refuse("chat", "c", "DATA_TOO_LARGE", lastAck());
  await settle();
  assert.equal(one.is, undefined);
  assert.deepEqual(two.is, { status: "failed", code: "DATA_TOO_LARGE", message: "No." });
});

const NO_ANSWERS = [
  { event: "hotsock.ack" },
  { event: "hotsock.ack", data: null },
  { event: "hotsock.ack", data: { ack: {} } },
  { event: "hotsock.ack", data: { ack: "another-ack-of-a-page", id: "01J" } },
  { event: "hotsock.error", error: null },
  { event: "hotsock.error", error: { code: "RATE_LIMITED" } },
  { event: "chat", channel: "c", data: {} },
];

for (const frame of NO_ANSWERS) {
  test(`${JSON.stringify(frame)} answers nothing`, async (t) => {
    fakeWorld(t);
    const result = send(await connectedClient());
    newest().say(frame);
    await settle();
    assert.equal(result.is, undefined);
  });
}

test("what was not answered is sent again as it was, before what came later", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await subscribedClient();
  const results = ["one", "two", "three"].map((event) => send(client, event));
  newest().acknowledge(newest().frames[1].ack, { id: "01J" });
  const lost = newest().sent.slice(2);
  newest().end();
  results.push(send(client, "four"));
  await pass(1);
  newest().connect();
  results.push(send(client, "five"));
  newest().subscribed("c");
  assert.deepEqual(newest().sent.slice(1, 3), lost);
  assert.deepEqual(said().slice(1), ["two c", "three c", "four c", "five c"]);
  for (const { ack } of newest().frames.slice(1)) newest().acknowledge(ack, { id: "01K" });
  await settle();
  assert.deepEqual(
    results.map(({ is }) => is),
    ["01J", "01K", "01K", "01K", "01K"].map((id) => ({ status: "sent", id })),
  );
});

// What may have been done, and must not be done twice.
const NOT_AGAIN = [
  ["it must not be retried", { retry: false }, "jim", "jim"],
  ["we have no uid", {}, null, null],
  ["we come back under another uid", {}, "jim", "pam"],
];

for (const [when, options, before, after] of NOT_AGAIN) {
  test(`a message is not sent again where ${when}`, async (t) => {
    fakeWorld(t, { random: 0 });
    const client = makeClient();
    const errors = listen(client, "@@error");
    const result = send(client, "chat", options);
    await settle();
    newest().connect("id-1", before);
    newest().acknowledge(ACK);
    newest().end();
    await pass(1);
    newest().connect("id-2", after);
    assert.deepEqual(said(), []);
    assert.deepEqual([await codeOf(result), errors], ["UNACKNOWLEDGED", []]);
  });
}

test("the uid of the subscription counts where there is one", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = makeClient();
  listen(client, "chat", { channel: "c" });
  send(client);
  await settle();
  for (const expected of [["hotsock.subscribe c", "chat c"], ["hotsock.subscribe c", "chat c"]]) {
    newest().connect(undefined, null);
    newest().subscribed("c", { uid: "jim", data: { position: 7, epoch: "e" } });
    assert.deepEqual(said(), expected);
    newest().end();
    await pass(1);
  }
});

test(`of what is under way, ${MAX_AGAIN} messages are sent again`, async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await acknowledgedClient();
  const results = Array.from({ length: MAX_AGAIN + 1 }, () => send(client));
  await reconnect();
  assert.equal(said().length, MAX_AGAIN);
  assert.deepEqual(
    [await codeOf(results.at(-1)), await codeOf(results.at(-2))],
    ["UNACKNOWLEDGED", undefined],
  );
});

test("of what is under way, 4 MiB are sent again", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await acknowledgedClient();
  const data = "x".repeat(30_000);
  for (let count = 0; count < 100; count += 1) send(client, "chat", { data });
  await reconnect();
  assert.equal(said().length, 69);
});

test("a server that acknowledges nothing is not waited for", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const errors = listen(client, "@@error");
  const result = send(client);
  newest().subscribed("d");
  for (let seconds = 0; seconds < 40; seconds += 20) {
    assert.equal(await codeOf(result), undefined);
    newest().say({ event: "chat", channel: "c" });
    await pass(20_000);
  }
  assert.deepEqual([await codeOf(result), errors], ["UNACKNOWLEDGED", []]);
  const last = send(client);
  await reconnect();
  assert.deepEqual([await codeOf(last), said()], ["UNACKNOWLEDGED", []]);
});

for (const [what, sendTimeoutSeconds, limit] of [["by default", undefined, 300_000], ["as set", 5, 5000]]) {
  test(`what could not be sent in time has failed: ${what}`, async (t) => {
    fakeWorld(t);
    const client = makeClient({ sendTimeoutSeconds });
    const errors = listen(client, "@@error");
    client.suspend();
    const result = send(client, "chat", { data: 1 });
    await pass(limit - 1);
    assert.equal(await codeOf(result), undefined);
    await pass(1);
    assert.equal(await codeOf(result), "EXPIRED");
    assert.deepEqual(
      errors.map(({ code, channel, event, data }) => [code, channel, event, data]),
      [["EXPIRED", "c", "chat", 1]],
    );
  });
}

test("what was too old when a sleeping page awoke is not sent", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const result = send(client);
  await settle();
  mock.timers.setTime(Date.now() + 300_000); // no timer ran meanwhile
  newest().connect();
  assert.deepEqual([said(), await codeOf(result)], [[], "EXPIRED"]);
});

test("a message that may have arrived never fails in another way", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await subscribedClient();
  const errors = listen(client, "@@error");
  const inDoubt = () => {
    const result = send(client);
    newest().end();
    return result;
  };
  const refusals = [
    () => newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED"),
    () => {
      newest().subscribed("c");
      newest().refuse("chat", "c", "PUBLISH_PERMISSION_DENIED", lastAck());
    },
    () => pass(300_000),
    () => client.terminate(),
  ];
  for (const happen of refusals) {
    const result = inDoubt();
    await pass(1000);
    newest().connect();
    await happen();
    assert.equal(await codeOf(result), "UNACKNOWLEDGED", String(happen));
    if (client.state === "connected") newest().subscribed("c");
  }
  assert.deepEqual(errors.filter(({ event }) => event === "chat"), []);
});

test("what waits for a channel that refuses us has failed", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "c" });
  const result = send(client);
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  assert.equal(await codeOf(result), "SUBSCRIBE_REFUSED");
});

test("NOT_SUBSCRIBED: messages are sent again once we are, in order, and once", async (t) => {
  fakeWorld(t);
  const client = await subscribedClient();
  const results = [send(client, "one"), send(client, "two")];
  const refuseLast = () => {
    for (const { event, ack } of newest().frames.slice(-2)) {
      newest().refuse(event, "c", "NOT_SUBSCRIBED", ack);
    }
  };
  refuseLast();
  assert.deepEqual(said().slice(3), ["hotsock.subscribe c"]);
  newest().subscribed("c");
  assert.deepEqual(said().slice(4), ["one c", "two c"]);
  refuseLast();
  newest().subscribed("c");
  assert.deepEqual(await Promise.all(results.map(codeOf)), ["NOT_SUBSCRIBED", "NOT_SUBSCRIBED"]);
  assert.deepEqual(said().slice(6), ["hotsock.subscribe c"]);
});

test("NOT_SUBSCRIBED to what we never wanted is a refusal", async (t) => {
  fakeWorld(t);
  const result = send(await connectedClient());
  newest().refuse("chat", "c", "NOT_SUBSCRIBED", lastAck());
  assert.equal(await codeOf(result), "NOT_SUBSCRIBED");
});

test("messages beyond 4 MiB that would have to wait have failed", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const data = "x".repeat(30_000);
  const results = Array.from({ length: 70 }, () => send(client, "chat", { data }));
  const codes = await Promise.all(results.map(codeOf));
  assert.deepEqual([codes.indexOf("QUEUE_FULL"), codes.lastIndexOf(undefined)], [69, 68]);
});

const MAX_FRAME = 128 * 1024;
const AROUND = encode({ event: "chat", channel: "c", data: "", ack: ACK }).length;

for (const [what, data, code] of [
  ["128 KiB", "x".repeat(MAX_FRAME - AROUND), undefined],
  ["a byte more", "x".repeat(MAX_FRAME - AROUND + 1), "DATA_TOO_LARGE"],
  ["half as many characters, of three bytes each", "€".repeat(MAX_FRAME / 2), "DATA_TOO_LARGE"],
]) {
  test(`a frame of ${what} is ${code ? "refused at once" : "sent"}`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const errors = listen(client, "@@error");
    const result = send(client, "chat", { data, ack: ACK });
    assert.equal(await codeOf(result), code);
    assert.equal(said().length, code ? 0 : 1);
    assert.deepEqual(
      errors.map((error) => error.code),
      code ? [code] : [],
    );
  });
}

test("the largest of what a close with 1009 answered is not sent again", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await acknowledgedClient();
  const sizes = [10, 99, 50];
  const results = sizes.map((size) => send(client, "chat", { data: "x".repeat(size) }));
  newest().end(1009);
  await pass(1);
  newest().connect();
  const codes = await Promise.all(results.map(codeOf));
  assert.deepEqual(codes, [undefined, "DATA_TOO_LARGE", undefined]);
  assert.deepEqual(
    newest().frames.map(({ data }) => data.length),
    [10, 50],
  );
});

for (const [text, isSent] of [
  ["a\ud83d", false],
  ["\ude00\ud83d", false],
  ["\\\\\ud83d", false],
  ["\u{1f600}", true],
  ["\\ud83d", true],
  ["\\\\ud83d", true],
]) {
  test(`the text ${JSON.stringify(text)} is ${isSent ? "sent" : "refused at once"}`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const results = [{ data: [text] }, { key: text }].map((fields) => send(client, "chat", fields));
    const codes = await Promise.all(results.map(codeOf));
    assert.deepEqual([...new Set(codes)], [isSent ? undefined : "INVALID_MESSAGE"]);
    assert.equal(said().length, isSent ? 2 : 0);
  });
}

test("a raw message may write a character as two escapes", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const text = '{"event":"chat","data":"\\ud83d\\ude00"}';
  client.sendRawMessage(text);
  assert.deepEqual(newest().sent, [text]);
});

test("terminate() settles all, and so does what is sent after it", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  listen(client, "chat", { channel: "d" });
  const results = [send(client), send(client, "chat", { channel: "d" })];
  client.terminate();
  results.push(send(client));
  assert.deepEqual(
    await Promise.all(results.map(codeOf)),
    ["UNACKNOWLEDGED", "TERMINATED", "TERMINATED"],
  );
});

const EVENTS = [
  ["hotsock.messageReaction", true],
  ["hotsock.channelStorageSet", true],
  ["hotsock.channelStorageGet", false],
  ["hotsock.umdUpdate", false],
  ["hotsock.ping", false],
];

for (const [event, isAcknowledged] of EVENTS) {
  test(`${event} asks for ${isAcknowledged ? "an" : "no"} acknowledgement`, async (t) => {
    fakeWorld(t);
    const result = send(await acknowledgedClient(), event);
    await settle();
    assert.equal(lastAck() !== undefined, isAcknowledged);
    assert.deepEqual(result.is, isAcknowledged ? undefined : { status: "sent" });
    await reconnect();
    assert.equal(said().length, isAcknowledged ? 1 : 0);
  });
}

test("an ack may be that of an earlier try", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  send(client, "chat", { ack: ACK });
  assert.equal(lastAck(), ACK);
});

for (const ack of ["", "short", `${ACK}!`, "a".repeat(65), 1, null, `${ACK}\n`]) {
  test(`${JSON.stringify(ack)} is no ack`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    assert.throws(() => client.sendMessage("chat", { channel: "c", ack }), TypeError);
    assert.deepEqual(said(), []);
  });
}

test("acknowledgements are heard by their name alone", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const named = listen(client, "hotsock.ack");
  const matched = listen(client, /.*/);
  newest().acknowledge(ACK);
  newest().say({ event: "hotsock.keepAlive" });
  assert.deepEqual(
    [named, matched].map((frames) => frames.map(({ event }) => event)),
    [["hotsock.ack"], ["hotsock.keepAlive"]],
  );
});

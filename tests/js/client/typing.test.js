import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedClient, fakeWorld, listen, newest, pass, reconnect } from "./harness.js";

/** A channel that is subscribed, and what onTyping tells of it. */
async function watchedChannel(options) {
  const client = await connectedClient();
  const channel = client.channels("c");
  const told = [];
  const end = channel.onTyping((uids) => told.push(uids.join(" ")), options);
  newest().subscribed("c");
  return { client, channel, told, end };
}

const types = (uid, event = "is-typing") =>
  newest().say({ event, channel: "c", data: null, meta: { uid, umd: null } });

const signals = (socket = newest()) =>
  socket.sent.filter((text) => !text.includes("hotsock.")).map((text) => JSON.parse(text));

test("typing is told at once, then at most each 1.5 s, and asks for no answer", async (t) => {
  fakeWorld(t);
  const { channel } = await watchedChannel();
  for (const wait of [1, 1498, 1, 1499, 1]) {
    channel.typing();
    await pass(wait);
  }
  assert.deepEqual(
    signals(),
    Array.from({ length: 2 }, () => ({ event: "is-typing", channel: "c" })),
  );
  channel.typing();
  channel.typing({ event: "draws" });
  assert.deepEqual(
    signals().map(({ event }) => event),
    ["is-typing", "is-typing", "is-typing", "draws"],
  );
});

test("a clock that was set back does not end the telling", async (t) => {
  fakeWorld(t);
  const { channel } = await watchedChannel();
  channel.typing();
  t.mock.method(Date, "now", () => 0);
  channel.typing();
  assert.equal(signals().length, 2);
});

test("typing is not told where it would have to wait", async (t) => {
  fakeWorld(t, { random: 0 });
  const { channel } = await watchedChannel();
  newest().end();
  channel.typing();
  await pass(1500);
  newest().connect();
  channel.typing();
  newest().subscribed("c");
  assert.deepEqual(signals(), []);
  await pass(1500);
  await reconnect();
  newest().subscribed("c");
  assert.deepEqual(signals(), []);
});

test("whoever types is listed for 2 s after the last sign", async (t) => {
  fakeWorld(t);
  const { told } = await watchedChannel();
  types("pam");
  await pass(1000);
  types("kim");
  await pass(999);
  types("pam");
  await pass(1001);
  assert.deepEqual(told, ["pam", "pam kim", "pam"]);
  await pass(999);
  assert.deepEqual(told.slice(3), [""]);
});

test("another event of theirs ends it; what the server says does not", async (t) => {
  fakeWorld(t);
  const { told } = await watchedChannel();
  types("pam");
  types("pam", "hotsock.messageReactionAdded");
  types("kim", "chat");
  assert.deepEqual(told, ["pam"]);
  types("pam", "chat");
  await pass(5000);
  assert.deepEqual(told, ["pam", ""]);
});

test("we ourselves, and whoever has no name, are not listed", async (t) => {
  fakeWorld(t);
  const { told } = await watchedChannel();
  for (const uid of ["jim", null, undefined, 7]) types(uid);
  newest().say({ event: "is-typing", channel: "c" });
  assert.deepEqual(told, []);
});

test("other names of the event, on both sides", async (t) => {
  fakeWorld(t);
  const { told } = await watchedChannel({ event: "draws" });
  types("pam");
  types("pam", "draws");
  assert.deepEqual(told, ["pam"]);
});

test("at most 50 people are listed", async (t) => {
  fakeWorld(t);
  const { told } = await watchedChannel();
  for (let count = 0; count < 60; count += 1) types(`uid-${count}`);
  assert.equal(told.length, 50);
});

test("once it has ended nothing is told, and the channel's last binding has gone", async (t) => {
  fakeWorld(t);
  const { told, end } = await watchedChannel();
  types("pam");
  end();
  types("kim");
  await pass(5000);
  assert.deepEqual(told, ["pam"]);
  assert.equal(newest().frames.at(-1).event, "hotsock.unsubscribe");
});

test("a callback that throws goes to @@error, also when time ends the typing", async (t) => {
  fakeWorld(t);
  const { client, channel } = await watchedChannel();
  const errors = listen(client, "@@error");
  channel.onTyping(() => {
    throw new Error("mine");
  });
  types("pam");
  await pass(2000);
  assert.deepEqual(
    errors.map(({ code, channel: name, cause }) => [code, name, cause.message]),
    Array.from({ length: 2 }, () => ["CALLBACK_FAILED", "c", "mine"]),
  );
});

const MISTAKES = [
  (channel) => channel.typing({ event: "" }),
  (channel) => channel.onTyping(),
  (channel) => channel.onTyping(() => {}, { event: 7 }),
];

for (const call of MISTAKES) {
  test(`${call} is refused`, async (t) => {
    fakeWorld(t);
    const { channel } = await watchedChannel();
    assert.throws(() => call(channel), TypeError);
  });
}

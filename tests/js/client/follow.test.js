// follow_property.test.js looks for what is lost, doubled or out of order; here is what it says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeHistory, idOf, message, messages } from "./fake_history.js";
import {
  bindTo,
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

/** Follows channel c; `told` has what was told, in short. */
function follow(client, options) {
  const told = [];
  const follower = client.channels("c").follow({
    onMessage: ({ data }) => told.push(data),
    onReaction: ({ messageId, reaction, action, uid }) =>
      told.push(`${action} ${reaction} by ${uid} to ${Number(messageId.slice(3))}`),
    onDelete: ({ messageId }) => told.push(`delete ${Number(messageId.slice(3))}`),
    onJump: () => told.push("jump"),
    onCaughtUp: (how) => told.push(how),
    ...options,
  });
  return { follower, told };
}

async function following(t, options) {
  fakeWorld(t);
  const history = new FakeHistory(t);
  const client = await connectedClient();
  return { client, history, ...follow(client, options) };
}

const at = (position, fields = {}) => ({ data: { position, epoch: "e", ...fields } });

const say = (number, fields) => newest().say(message(number, fields));

const reacted = (number, position, action = "Added", uid = "pam") =>
  newest().say({
    event: `hotsock.messageReaction${action}`,
    channel: "c",
    data: {
      messageId: idOf(number),
      reaction: "👍",
      action: action === "Added" ? "add" : "remove",
    },
    meta: { uid, umd: null },
    position,
  });

const deleted = (number, position) =>
  newest().say({
    event: "hotsock.messageDeleted",
    channel: "c",
    data: { messageId: idOf(number) },
    position,
  });

/** The connection breaks once more, which takes the client longer. */
async function again() {
  newest().end();
  await pass(5000);
  newest().connect();
}

/** Follows from message 3 on, which is at position 3; nothing waits. */
async function live(t, options) {
  const world = await following(t, options);
  newest().subscribed("c", at(3));
  await world.history.answer(messages(3, 2, 1));
  world.told.length = 0;
  return world;
}

test("it begins with the newest messages, oldest first, and goes on live", async (t) => {
  const { history, told, follower } = await following(t, { limit: 2 });
  assert.deepEqual([follower.state, follower.position], ["waiting", null]);
  newest().subscribed("c", at(3));
  assert.equal(follower.state, "catchingUp");
  say(4);
  await history.answer(messages(4, 3));
  say(5);
  assert.deepEqual(told, [
    "message 3",
    "message 4",
    { count: 2, recovered: false, jumped: false, opening: true },
    "message 5",
  ]);
  assert.deepEqual(history.asked, [
    { channel: "c", expandReactions: true, reverse: true, limit: 2 },
  ]);
  assert.deepEqual(follower.position, { position: 5, epoch: "e", id: idOf(5) });
  assert.equal(follower.state, "live");
});

test("with limit 0 it begins live, without asking for history", async (t) => {
  const { history, told } = await following(t, { limit: 0 });
  newest().subscribed("c", at(3));
  await settle();
  say(4);
  assert.deepEqual(told, [
    { count: 0, recovered: false, jumped: false, opening: true },
    "message 4",
  ]);
  assert.deepEqual(history.asked, []);
});

test("reactions and deletions are told, also of messages that it did not tell", async (t) => {
  const { told } = await live(t);
  reacted(3, 4);
  reacted(3, 5, "Removed");
  reacted(0, 6);
  deleted(0, 7);
  assert.deepEqual(told, [
    "add 👍 by pam to 3",
    "remove 👍 by pam to 3",
    "add 👍 by pam to 0",
    "delete 0",
  ]);
});

test("a frame that comes twice is told once", async (t) => {
  const { told } = await live(t);
  for (const twice of [() => reacted(0, 4), () => say(5), () => deleted(3, 6)]) {
    twice();
    twice();
  }
  assert.deepEqual(told, ["add 👍 by pam to 0", "message 5", "delete 3"]);
});

test("what is not stored is not told, nor what another event than its own brings", async (t) => {
  const { told, follower } = await live(t, { event: "chat" });
  newest().say({ event: "chat", channel: "c", id: idOf(9), data: "passing" });
  say(4, { event: "file" });
  assert.deepEqual(told, []);
  assert.equal(follower.position.position, 4);
});

test("after reconnecting it recovers from its position, without history", async (t) => {
  const { history, told } = await live(t);
  await reconnect();
  assert.deepEqual(said(), ['hotsock.subscribe c {"since":3,"epoch":"e"}']);
  newest().subscribed("c", at(9, { recovered: true, replayed: 3 }));
  say(5);
  newest().say({ event: "hotsock.error", channel: "c", error: { code: "RATE_LIMITED" } });
  reacted(1, 6);
  deleted(2, 8);
  assert.deepEqual(told, [
    "message 5",
    "add 👍 by pam to 1",
    "delete 2",
    { count: 1, recovered: true, jumped: false, opening: false },
  ]);
  say(10);
  assert.equal(told.at(-1), "message 10");
  assert.equal(history.asked.length, 1);
});

test("one that breaks off goes on from what it saw", async (t) => {
  const { told } = await live(t);
  await reconnect();
  newest().subscribed("c", at(9, { recovered: true, replayed: 3 }));
  say(5);
  await again();
  assert.deepEqual(said(), ['hotsock.subscribe c {"since":5,"epoch":"e"}']);
  newest().subscribed("c", at(9, { recovered: true, replayed: 0 }));
  await again();
  assert.deepEqual(said(), ['hotsock.subscribe c {"since":9,"epoch":"e"}']);
  assert.deepEqual(told.slice(0, 1), ["message 5"]);
});

test("where nothing has changed, nothing is asked for, also on a subscription by token", async (t) => {
  const { history, told } = await live(t);
  await reconnect();
  newest().subscribed("c", at(3, { autoSubscribed: true }));
  newest().refuse("hotsock.subscribe", "c", "ALREADY_SUBSCRIBED");
  await settle();
  assert.deepEqual(told, [{ count: 0, recovered: true, jumped: false, opening: false }]);
  assert.equal(history.asked.length, 1);
});

test("where the server cannot recover, history is compared with what was told", async (t) => {
  const { history, told } = await live(t);
  reacted(3, 4, "Added", "jim");
  told.length = 0;
  await reconnect();
  newest().subscribed("c", at(9, { recovered: false }));
  reacted(3, 10); // which history will have
  reacted(6, 11);
  const reactions = { "👍": { count: 1, items: [{ uid: "pam" }] } };
  await history.answer([message(6), message(5), message(3, { reactions }), message(1)]);
  assert.deepEqual(told, [
    "delete 2",
    "remove 👍 by jim to 3",
    "add 👍 by pam to 3",
    "message 5",
    "message 6",
    { count: 2, recovered: false, jumped: false, opening: false },
    "add 👍 by pam to 6",
  ]);
});

test("above maxMissed it jumps to the newest, and says so", async (t) => {
  const { history, told } = await live(t, { limit: 2, maxMissed: 3 });
  await reconnect();
  newest().subscribed("c", at(9, { recovered: false }));
  await history.answer(messages(9, 8, 7, 6, 5, 4, 3));
  assert.deepEqual(told, [
    "jump",
    "message 8",
    "message 9",
    { count: 2, recovered: false, jumped: true, opening: false },
  ]);
});

test("history that does not reach back to what was told is a jump", async (t) => {
  const { history, told } = await live(t);
  await reconnect();
  newest().subscribed("c", at(9, { recovered: false }));
  await history.answer(messages(9));
  assert.deepEqual(told.slice(0, 2), ["jump", "message 9"]);
});

test("a saved position goes on where it stopped", async (t) => {
  const { follower, client, history } = await live(t);
  const since = JSON.parse(JSON.stringify(follower.position));
  follower.stop();
  assert.equal(follower.state, "stopped");
  await reconnect();
  const { told } = follow(client, { since });
  newest().subscribed("c", at(4, { recovered: true, replayed: 1 }));
  say(4);
  assert.deepEqual(said().at(-1), 'hotsock.subscribe c {"since":3,"epoch":"e"}');
  assert.deepEqual(told, [
    "message 4",
    { count: 1, recovered: true, jumped: false, opening: false },
  ]);
  assert.equal(history.asked.length, 1);
});

test("in a callback the position has what that was told, and no more", async (t) => {
  const positions = [];
  const { follower, history } = await following(t, {
    onMessage: () => positions.push(follower.position),
  });
  newest().subscribed("c", at(3));
  await history.answer(messages(3, 2));
  say(4);
  assert.deepEqual(positions, [
    { id: idOf(2) },
    { id: idOf(3) },
    { position: 4, epoch: "e", id: idOf(4) },
  ]);
});

test("messages that are still shown are compared, too", async (t) => {
  const since = { position: 2, epoch: "old", id: idOf(2) };
  const { history, told } = await following(t, { since, messages: messages(1, 2) });
  newest().subscribed("c", at(3, { recovered: false }));
  await history.answer(messages(3, 2));
  assert.deepEqual(told.slice(0, 2), ["delete 1", "message 3"]);
});

test("several followers of a channel recover from the earliest position, each once", async (t) => {
  const { client, told, follower } = await live(t);
  const late = follow(client, { since: { position: 2, epoch: "e", id: idOf(2) } });
  await reconnect();
  assert.deepEqual(said(), ['hotsock.subscribe c {"since":2,"epoch":"e"}']);
  newest().subscribed("c", at(4, { recovered: true, replayed: 2 }));
  say(3);
  say(4);
  const how = { recovered: true, jumped: false, opening: false };
  assert.deepEqual(told, ["message 4", { count: 1, ...how }]);
  assert.deepEqual(late.told, ["message 3", "message 4", { count: 2, ...how }]);
  follower.stop();
});

test("one that is added too late to be asked for reads history", async (t) => {
  const { client, history } = await live(t);
  await reconnect();
  const { told } = follow(client, { since: { position: 2, epoch: "e", id: idOf(2) } });
  newest().subscribed("c", at(4, { recovered: true, replayed: 1 }));
  say(4);
  await history.answer(messages(4, 3, 2, 1));
  assert.deepEqual(told, [
    "message 3",
    "message 4",
    { count: 2, recovered: false, jumped: false, opening: false },
  ]);
});

for (const heard of [3, 5, 8]) {
  test(`one that joins a recovered subscription after message ${heard} reads history`, async (t) => {
    const { client, history, follower } = await live(t);
    const since = follower.position;
    bindTo(client);
    await reconnect();
    newest().subscribed("c", at(6, { recovered: true, replayed: 3 }));
    for (let number = 4; number <= heard; number += 1) say(number);
    follower.stop();
    const { told } = follow(client, { since });
    await settle();
    say(heard + 1);
    const last = Math.max(heard + 1, 6); // the server had 6 before it was read
    await history.answer(messages(...[9, 8, 7, 6, 5, 4, 3].filter((number) => number <= last)));
    for (let number = heard + 2; number <= 9; number += 1) say(number);
    assert.deepEqual(
      told.filter((each) => typeof each === "string"),
      [4, 5, 6, 7, 8, 9].map((number) => `message ${number}`),
    );
  });
}

test("the message at which it began is never told again", async (t) => {
  const { history, told } = await following(t, { since: { id: idOf(2) } });
  for (const [answer, reconnects] of [
    [messages(3, 2), true],
    [messages(2, 1), false],
  ]) {
    newest().subscribed("c", at(9, { recovered: false }));
    newest().say({ event: "hotsock.channelStorageUpdated", channel: "c", position: 10 });
    await history.answer(answer);
    if (reconnects) await reconnect();
  }
  assert.deepEqual(
    told.filter((each) => typeof each === "string"),
    ["message 3", "delete 3"],
  );
});

test("one that comes late begins on the subscription that is there", async (t) => {
  const { client, history } = await live(t);
  const { told } = follow(client, { limit: 1 });
  say(4);
  await history.answer(messages(4));
  say(5);
  assert.deepEqual(told, [
    "message 4",
    { count: 1, recovered: false, jumped: false, opening: true },
    "message 5",
  ]);
});

test("history that cannot be read is tried again, and each failure is told", async (t) => {
  const { client, history, told, follower } = await following(t);
  const errors = listen(client, "@@error");
  newest().subscribed("c", at(1));
  await history.fail();
  await pass(10_000);
  await history.refuse(503, "SERVICE_UNAVAILABLE");
  await pass(10_000);
  assert.deepEqual([told, follower.state], [[], "catchingUp"]);
  await history.answer(messages(1));
  assert.equal(told[0], "message 1");
  assert.deepEqual(
    errors.map(({ code, channel, cause }) => [code, channel, cause.status]),
    [
      ["HISTORY_FAILED", "c", 0],
      ["HISTORY_FAILED", "c", 503],
    ],
  );
});

test("a refusal that is no JSON, such as a proxy's, is one", async (t) => {
  const { history, follower } = await following(t);
  newest().subscribed("c", at(2));
  await history.breakOff(404, new SyntaxError("html"));
  assert.equal(follower.state, "live");
});

const BROKEN = [
  ["an answer that breaks off", (history) => history.breakOff(200)],
  ["an answer that is half a JSON", (history) => history.breakOff(200, new SyntaxError("half"))],
  ["a refusal that breaks off", (history) => history.breakOff(400)],
  ["an answer that never ends", (history) => history.stall()],
];

for (const [what, happen] of BROKEN) {
  test(`after ${what}, history is read again`, async (t) => {
    const { history, told } = await following(t);
    newest().subscribed("c", at(2));
    await happen(history);
    await pass(15_000);
    await pass(1000);
    await history.answer(messages(2, 1));
    assert.deepEqual(told.slice(0, 2), ["message 1", "message 2"]);
  });
}

test("where history is refused for good, it goes on live and says that it jumped", async (t) => {
  const { client, history, told } = await live(t);
  const errors = listen(client, "@@error");
  await reconnect();
  newest().subscribed("c", at(9, { recovered: false }));
  await history.refuse(400, "INVALID_REQUEST");
  say(10);
  const how = { count: 0, recovered: false, jumped: true, opening: false };
  assert.deepEqual(told, ["jump", how, "message 10"]);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ["HISTORY_FAILED"],
  );
});

test("more frames than are kept while history is read are read from history", async (t) => {
  const { history, told } = await live(t);
  await reconnect();
  newest().subscribed("c", at(4, { recovered: false }));
  for (let number = 5; number < 1100; number += 1) reacted(3, number, "Added", `u${number}`);
  await history.answer(messages(4, 3, 2, 1));
  deleted(4, 1100);
  await history.answer(messages(3, 2, 1));
  assert.deepEqual(told, [
    "message 4",
    "delete 4",
    { count: 1, recovered: false, jumped: false, opening: false },
    "delete 4",
  ]);
});

test("a server without positions is followed by ids and history", async (t) => {
  const { history, told, follower } = await following(t, { event: "chat" });
  const numbered = (number) => message(number, { position: undefined });
  newest().subscribed("c");
  await history.answer([numbered(2), numbered(1)]);
  newest().say({ event: "is-typing", channel: "c", id: idOf(9) });
  newest().say(numbered(3));
  assert.deepEqual(follower.position, { id: idOf(3) });
  await reconnect();
  assert.deepEqual(said(), ["hotsock.subscribe c"]);
  newest().subscribed("c");
  await history.answer([numbered(4), numbered(3), numbered(1)]);
  assert.deepEqual(
    told.filter((each) => typeof each === "string"),
    ["message 1", "message 2", "message 3", "delete 2", "message 4"],
  );
});

test("a callback that throws is told, and following goes on", async (t) => {
  const { client, history } = await following(t, {
    onMessage: () => {
      throw new Error("broken");
    },
  });
  const errors = listen(client, "@@error");
  newest().subscribed("c", at(1));
  await history.answer(messages(1));
  say(2);
  assert.deepEqual(
    errors.map(({ code, event }) => [code, event]),
    [
      ["CALLBACK_FAILED", "onMessage"],
      ["CALLBACK_FAILED", "onMessage"],
    ],
  );
});

test("stop() ends it at once, also within a callback, and unsubscribes", async (t) => {
  const { follower, told, history } = await following(t, {
    onMessage: ({ data }) => {
      told.push(data);
      follower.stop();
    },
  });
  newest().subscribed("c", at(2));
  await history.answer(messages(2, 1));
  assert.deepEqual(told, ["message 1"]);
  assert.deepEqual(said(), ["hotsock.subscribe c", "hotsock.unsubscribe c"]);
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  await reconnect();
  assert.deepEqual(said(), []);
});

test("who follows while the channel is being left asks for nothing before its end", async (t) => {
  const { client, history } = await live(t);
  client.channels("c").unbind();
  const { told } = follow(client, { limit: 0 });
  await settle();
  assert.deepEqual([history.asked.length, said().at(-1)], [1, "hotsock.unsubscribe c"]);
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  newest().subscribed("c", at(3));
  await settle();
  say(4);
  assert.deepEqual(told.slice(1), ["message 4"]);
});

test("who follows while the channel is being left goes on where it is kept", async (t) => {
  const { client } = await live(t);
  client.channels("c").unbind();
  const { told } = follow(client, { limit: 0 });
  await settle();
  newest().refuse("hotsock.unsubscribe", "c", "RATE_LIMITED");
  await settle();
  say(4);
  assert.deepEqual(told.slice(1), ["message 4"]);
});

const ENDS = [
  ["its channel's unbind()", (client) => client.channels("c").unbind()],
  ["unbind() of its RegExp", (client) => client.channels("c").unbind(/^/)],
  ["clearBindings()", (client) => client.clearBindings()],
  ["terminate()", (client) => client.terminate()],
];

for (const [what, end] of ENDS) {
  test(`${what} stops it`, async (t) => {
    const { client, told, follower } = await live(t);
    bindTo(client);
    end(client);
    assert.equal(follower.state, "stopped");
    newest().subscribed("c", at(4));
    say(5);
    assert.deepEqual([told, follower.state], [[], "stopped"]);
  });
}

test("clearBindings() ends it, and what it asked for", async (t) => {
  const { client } = await live(t);
  client.clearBindings();
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  bindTo(client);
  assert.deepEqual(said().at(-1), "hotsock.subscribe c");
});

for (const [name, value] of [
  ["event", 1],
  ["since", "position"],
  ["since", { position: -1, epoch: "e" }],
  ["since", { position: 1 }],
  ["since", { id: 1 }],
  ["messages", 1],
  ["limit", -1],
  ["maxMissed", Infinity],
  ["onMessage", "f"],
]) {
  test(`follow refuses ${name} ${JSON.stringify(value)}`, (t) => {
    fakeWorld(t);
    const channel = makeClient().channels("c");
    assert.throws(() => channel.follow({ [name]: value }), {
      name: "TypeError",
      message: new RegExp(`^${name} must be `),
    });
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeHistory, idOf, messages } from "./fake_history.js";
import {
  bindTo,
  connectedClient,
  fakeWorld,
  makeClient,
  newest,
  pass,
  reconnect,
  said,
  settle,
} from "./harness.js";

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A client whose channel c is subscribed, and the history that it will ask for. */
async function subscribed(t, options) {
  fakeWorld(t);
  const history = new FakeHistory(t);
  const client = await connectedClient(options);
  bindTo(client);
  newest().subscribed("c");
  return { client, channel: client.channels("c"), history };
}

/** Reads all; `ids` fills up meanwhile. */
function collect(iterator) {
  const ids = [];
  const ended = (async () => {
    for await (const { id } of iterator) ids.push(id);
  })();
  ended.catch(() => {});
  return { ids, ended };
}

test("history is newest first, page after page", async (t) => {
  const { channel, history } = await subscribed(t);
  const { ids, ended } = collect(channel.history());
  await history.answer(messages(...range(21, 120).toReversed()));
  await history.answer(messages(...range(1, 20).toReversed()));
  await ended;
  assert.deepEqual(ids, range(1, 120).toReversed().map(idOf));
  assert.deepEqual(history.asked, [
    { channel: "c", reverse: true },
    { channel: "c", reverse: true, before: idOf(21) },
  ]);
});

test("with `after` it is oldest first, up to `before`", async (t) => {
  const { channel, history } = await subscribed(t);
  const bounds = { after: idOf(3), before: idOf(6), expandReactions: true };
  const { ids, ended } = collect(channel.history(bounds));
  await history.answer(messages(4, 5, 6, 7));
  await ended;
  assert.deepEqual(ids, [4, 5].map(idOf));
  assert.deepEqual(history.asked, [{ channel: "c", expandReactions: true, after: idOf(3) }]);
});

test("a limit makes pages as small as needed, and holds where the server ignores it", async (t) => {
  const { channel, history } = await subscribed(t);
  const { ids, ended } = collect(channel.history({ limit: 2 }));
  await history.answer(messages(9, 8, 7));
  await ended;
  assert.deepEqual(ids, [9, 8].map(idOf));
  assert.deepEqual(history.asked, [{ channel: "c", reverse: true, limit: 2 }]);
});

test("it is asked for beside the WebSocket, or where httpUrl says", async (t) => {
  const { channel, history } = await subscribed(t, { httpUrl: "https://api.test/chat/" });
  collect(channel.history());
  await settle();
  const [{ url }] = history.requests;
  const { connectionId, connectionSecret } = Object.fromEntries(url.searchParams);
  assert.equal(url.origin + url.pathname, "https://api.test/chat/connection/listMessages");
  assert.deepEqual([connectionId, connectionSecret], ["id-1", "secret of id-1"]);
});

test("a break in the connection does not end it: the page is asked for again", async (t) => {
  const { channel, history } = await subscribed(t);
  const { ids, ended } = collect(channel.history());
  await settle();
  assert.equal(
    history.requests[0].url.href.split("?")[0],
    "https://chat.test/connection/listMessages",
  );
  await reconnect();
  assert.ok(history.requests.shift().signal.aborted);
  assert.equal(history.requests.length, 0);
  newest().subscribed("c");
  await settle();
  assert.equal(history.requests[0].url.searchParams.get("connectionId"), "id-2");
  await history.answer(messages(1));
  await ended;
  assert.deepEqual(ids, [idOf(1)]);
});

test("what passes is tried again after a while, five times; what does not is told", async (t) => {
  const { channel, history } = await subscribed(t);
  const { ended } = collect(channel.history());
  for (const end of [() => history.fail(), () => history.refuse(503, "SERVICE_UNAVAILABLE")]) {
    await end();
    assert.equal(history.requests.length, 0);
    await pass(2000);
    assert.equal(history.requests.length, 1);
  }
  await history.refuse(400, "INVALID_REQUEST");
  const error = await ended.catch((each) => each);
  assert.deepEqual([error.code, error.channel], ["HISTORY_FAILED", "c"]);
  assert.deepEqual([error.cause.status, error.cause.code], [400, "INVALID_REQUEST"]);

  const hopeless = collect(channel.history());
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await history.fail();
    await pass(1000 * 2 ** attempt);
  }
  assert.equal((await hopeless.ended.catch((each) => each)).code, "HISTORY_FAILED");
  assert.equal(history.requests.length, 0);
});

test("return() ends it at once, also while an answer is awaited", async (t) => {
  const { channel, history } = await subscribed(t);
  const iterator = channel.history();
  const next = iterator.next();
  await settle();
  const nothing = { done: true, value: undefined };
  assert.deepEqual(await iterator.return(), nothing);
  assert.deepEqual(await next, nothing);
  assert.deepEqual(await iterator.next(), nothing);
  assert.ok(history.requests[0].signal.aborted);
});

test("a signal ends it quietly", async (t) => {
  const { channel } = await subscribed(t);
  const controller = new AbortController();
  const { ids, ended } = collect(channel.history({ signal: controller.signal }));
  await settle();
  controller.abort();
  await ended;
  assert.deepEqual(ids, []);
});

test("it subscribes while it runs, where nobody else has", async (t) => {
  fakeWorld(t);
  const history = new FakeHistory(t);
  const client = await connectedClient();
  const { ended } = collect(client.channels("c").history());
  await settle();
  assert.deepEqual([said(), history.asked], [["hotsock.subscribe c"], []]);
  newest().subscribed("c");
  await history.answer([]);
  await ended;
  assert.deepEqual(said(), ["hotsock.subscribe c", "hotsock.unsubscribe c"]);
});

test("a channel that refuses us, and a client that ends, are told", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const refused = collect(client.channels("c").history());
  await settle();
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  assert.equal((await refused.ended.catch((each) => each)).code, "SUBSCRIBE_REFUSED");
  const late = collect(client.channels("d").history());
  await settle();
  client.terminate();
  assert.equal((await late.ended.catch((each) => each)).code, "SUBSCRIBE_REFUSED");
});

for (const [name, value] of [
  ["after", 1],
  ["before", ""],
  ["limit", -1],
  ["limit", 1.5],
  ["expandReactions", "yes"],
]) {
  test(`history refuses ${name} ${JSON.stringify(value)}`, (t) => {
    fakeWorld(t);
    const channel = makeClient().channels("c");
    assert.throws(() => channel.history({ [name]: value }), {
      name: "TypeError",
      message: new RegExp(`^${name} `),
    });
  });
}

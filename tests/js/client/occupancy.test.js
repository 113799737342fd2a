import assert from "node:assert/strict";
import { test } from "node:test";
import { bindTo, connectedClient, fakeWorld, listen, newest, reconnect, said } from "./harness.js";

const ASKS = 'hotsock.subscribe c {"occupancy":true}';

/** A client that hears the counts of channel c in `counts`. */
async function watching(t, before = () => {}) {
  fakeWorld(t);
  const client = await connectedClient();
  before(client);
  const counts = [];
  const end = client.channels("c").occupancy((count) => counts.push(count));
  return { client, counts, end };
}

const changed = (subscriptionsCount) =>
  newest().say({ event: "hotsock.channelUpdated", channel: "c", data: { subscriptionsCount } });

test("occupancy is asked for on subscribing, and each count is told", async (t) => {
  const { counts } = await watching(t);
  newest().subscribed("c", { data: { subscriptionsCount: 2 } });
  changed(3);
  assert.deepEqual([said(), counts], [[ASKS], [2, 3]]);
  await reconnect();
  newest().subscribed("c", { data: { subscriptionsCount: 1 } });
  assert.deepEqual([said(), counts], [[ASKS], [2, 3, 1]]);
});

test("what it returns ends it: nothing is told or asked for any more", async (t) => {
  const { client, counts, end } = await watching(t);
  newest().subscribed("c", { data: { subscriptionsCount: 2 } });
  bindTo(client);
  end();
  changed(3);
  await reconnect();
  assert.deepEqual([said(), counts], [["hotsock.subscribe c"], [2]]);
});

test("a subscription without it is made again, from where it was", async (t) => {
  const { counts } = await watching(t, (client) => {
    bindTo(client);
    newest().subscribed("c", { data: { position: 7, epoch: "e" } });
    newest().say({ event: "chat", channel: "c", position: 9 });
  });
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  newest().subscribed("c", { data: { subscriptionsCount: 2, recovered: true, replayed: 0 } });
  assert.deepEqual(said(), [
    "hotsock.subscribe c",
    "hotsock.unsubscribe c",
    'hotsock.subscribe c {"since":9,"epoch":"e","occupancy":true}',
  ]);
  assert.deepEqual(counts, [2]);
});

test("one that is asked for meanwhile is made again once it is answered", async (t) => {
  await watching(t, bindTo);
  assert.deepEqual(said(), ["hotsock.subscribe c"]);
  newest().subscribed("c");
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  assert.deepEqual(said(), ["hotsock.subscribe c", "hotsock.unsubscribe c", ASKS]);
});

test("so is one that the token made", async (t) => {
  await watching(t);
  newest().subscribed("c", { data: { autoSubscribed: true } });
  newest().refuse("hotsock.subscribe", "c", "ALREADY_SUBSCRIBED");
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });
  newest().subscribed("c", { data: { subscriptionsCount: 2 } });
  assert.deepEqual(said(), [ASKS, "hotsock.unsubscribe c", ASKS]);
});

test("who may not know the count is subscribed without it", async (t) => {
  const { client } = await watching(t);
  const errors = listen(client, "hotsock.error");
  newest().refuse("hotsock.subscribe", "c", "INFO_PERMISSION_DENIED");
  newest().subscribed("c");
  assert.deepEqual(said(), [ASKS, "hotsock.subscribe c"]);
  assert.deepEqual([errors.length, client.channels("c").subscribed], [1, true]);
});

test("occupancy refuses what is no function", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  assert.throws(() => client.channels("c").occupancy(1), TypeError);
});

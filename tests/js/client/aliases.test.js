// The server speaks of "real", the application of "alias".

import assert from "node:assert/strict";
import { test } from "node:test";
import { bindTo, connectedClient, fakeWorld, listen, newest, reconnect, said } from "./harness.js";

test("frames of the real name reach the bindings of its alias, as they came", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, /.+/, { channel: "alias" });
  newest().subscribed("real", { uid: "jim", channelAlias: "alias" });
  newest().say({ event: "chat", channel: "real", data: 1 });
  assert.deepEqual(
    heard.map(({ event, channel }) => [event, channel]),
    [
      ["hotsock.subscribed", "real"],
      ["chat", "real"],
    ],
  );
  const { name, uid, subscribed } = client.channels("alias");
  assert.deepEqual([name, uid, subscribed], ["alias", "jim", true]);
  client.unbind(/.+/, { channel: "alias" });
  assert.deepEqual(said(), ["hotsock.subscribe alias", "hotsock.unsubscribe alias"]);
  newest().say({ event: "hotsock.unsubscribed", channel: "real", data: {} });
  assert.equal(client.channels("alias").subscribed, false);
});

test("errors name the alias, and act on it", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "hotsock.error", { channel: "alias" });
  newest().subscribed("real", { channelAlias: "alias" });
  newest().refuse("chat", "alias", "NOT_SUBSCRIBED");
  assert.deepEqual(
    [heard.length, said()],
    [1, ["hotsock.subscribe alias", "hotsock.subscribe alias"]],
  );
});

test("ALREADY_SUBSCRIBED names the real channel, and settles its alias", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client, "alias");
  newest().subscribed("real", { channelAlias: "alias", data: { autoSubscribed: true } });
  newest().refuse("hotsock.subscribe", "real", "ALREADY_SUBSCRIBED");
  client.sendMessage("chat", { channel: "alias" });
  assert.deepEqual(said(), ["hotsock.subscribe alias", "chat alias"]);
});

const ANSWERED = [
  ["accepted", () => newest().subscribed("other")],
  ["refused", () => newest().refuse("hotsock.subscribe", "other", "INVALID_CHANNEL_NAME")],
  ["already subscribed", () => newest().refuse("hotsock.subscribe", "other", "ALREADY_SUBSCRIBED")],
  ["of the connection before", reconnect],
];

for (const [what, answer] of ANSWERED) {
  test(`a request that was ${what} is not taken for an alias`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const binding = bindTo(client, "other");
    if (answer === reconnect) binding.unbind();
    await answer();
    bindTo(client, "alias");
    newest().refuse("hotsock.subscribe", "real", "ALREADY_SUBSCRIBED");
    assert.equal(client.channels("alias").subscribed, true);
  });
}

test("an alias for what the token has subscribed under its real name is settled too", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  newest().subscribed("real", { data: { autoSubscribed: true } });
  const heard = listen(client, "chat", { channel: "alias" });
  newest().refuse("hotsock.subscribe", "real", "ALREADY_SUBSCRIBED");
  newest().say({ event: "chat", channel: "real" });
  assert.deepEqual([heard.length, client.channels("alias").subscribed], [1, true]);
});

test("ALREADY_SUBSCRIBED with a name never heard belongs to the oldest request", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.channels("other");
  const heard = listen(client, "chat", { channel: "alias" });
  bindTo(client, "other");
  newest().refuse("hotsock.subscribe", "real", "ALREADY_SUBSCRIBED");
  newest().say({ event: "chat", channel: "real" });
  const states = ["alias", "other"].map((name) => client.channels(name).subscribed);
  assert.deepEqual([heard.length, states], [1, [true, false]]);
});

test("a channel bound under both its names is heard under both", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const real = listen(client, "chat", { channel: "real" });
  const alias = listen(client, "chat", { channel: "alias" });
  newest().subscribed("real", { channelAlias: "alias" });
  newest().refuse("hotsock.subscribe", "real", "ALREADY_SUBSCRIBED");
  newest().say({ event: "chat", channel: "real" });
  assert.deepEqual([real.length, alias.length], [1, 1]);
});

test("an alias is that of one connection", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "chat", { channel: "alias" });
  newest().subscribed("real", { channelAlias: "alias" });
  await reconnect();
  newest().subscribed("another", { channelAlias: "alias" });
  newest().say({ event: "chat", channel: "real", data: 1 });
  newest().say({ event: "chat", channel: "another", data: 2 });
  assert.deepEqual(
    heard.map(({ data }) => data),
    [2],
  );
});

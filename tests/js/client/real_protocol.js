// What the demo's tokens do not allow, against the real server at SERVER_URL: subscribe tokens,
// aliases, members, metadata, storage, schedules, heartbeats. SIGNING_KEY signs their tokens.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HotsockClient } from "../../../static/chat/client/index.js";
import { next } from "./next.js";

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function sign(claims) {
  const text = `${base64url({ alg: "HS256" })}.${base64url({ exp: Date.now() / 1000 + 60, ...claims })}`;
  const key = Buffer.from(process.env.SIGNING_KEY, "base64");
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

/** A client that ends with the test, with a connect token of these claims. */
function connect(t, claims) {
  const client = new HotsockClient(`${process.env.SERVER_URL}/v1`, {
    connectTokenFn: () => sign({ scope: "connect", ...claims }),
    logLevel: "silent",
  });
  t.after(() => client.terminate());
  return client;
}

/** A channel that stays subscribed while nothing is waited for. */
function join(client, name) {
  const channel = client.channels(name);
  channel.bind("unused", () => {});
  return channel;
}

const uids = (channel) => channel.members.map(({ uid }) => uid);

describe("the client and the server", { concurrency: true }, () => {
  test("a subscribe token opens a channel under its alias, for one connection", async (t) => {
    const client = connect(t, { uid: "ada" });
    const mine = client.channels("mine");
    const messages = { note: { publish: true, echo: true } };
    const asked = [];
    mine.subscribeTokenFn = ({ channel, connectionId }) => {
      asked.push(channel);
      const channels = { "js.user.ada": { alias: "mine", subscribe: true, messages } };
      return sign({ scope: "subscribe", connectionId, uid: "ada", umd: 7, channels });
    };
    const note = next(mine, "note");
    mine.sendMessage("note", { data: "hello" });
    const { channel, data } = await note;
    assert.deepEqual([channel, data, asked], ["js.user.ada", "hello", ["mine"]]);
    assert.deepEqual([mine.uid, mine.umd], ["ada", 7]);
  });

  test("a subscribe token that the server refuses is asked for again", async (t) => {
    const client = connect(t, { uid: "ada" });
    const given = ["somebody else", undefined];
    const subscribeTokenFn = ({ connectionId }) => {
      const channels = { "js.refused": { subscribe: true } };
      return sign({ scope: "subscribe", connectionId: given.shift() ?? connectionId, channels });
    };
    client.bind("note", () => {}, { channel: "js.refused", subscribeTokenFn });
    const { error } = await next(client, "hotsock.error");
    assert.equal(error.code, "INVALID_SUBSCRIBE_TOKEN");
    await next(client, "hotsock.subscribed");
    assert.deepEqual(given, []);
  });

  test("what the token subscribes by itself is known under its alias", async (t) => {
    const channels = { "js.auto": { autoSubscribe: true, alias: "auto" } };
    const client = connect(t, { uid: "ada", channels });
    const channel = client.channels("auto");
    const { channel: name, data } = await next(client, "hotsock.subscribed");
    assert.deepEqual([name, data.autoSubscribed], ["js.auto", true]);
    assert.deepEqual([channel.subscribed, channel.uid], [true, "ada"]);
    const ended = next(client, "hotsock.unsubscribed");
    channel.bind("note", () => {}).unbind();
    assert.equal((await ended).channel, "js.auto");
    assert.equal(channel.subscribed, false);
  });

  test("the connection's own metadata is that of what it subscribes to afterwards", async (t) => {
    const channels = { "js.umd": { subscribe: true } };
    const client = connect(t, { uid: "ada", umd: "before", channels });
    await next(client, "hotsock.connected");
    const token = sign({ scope: "umd", umdUpdate: true, uid: "ada", umd: "after" });
    const updated = next(client, "hotsock.umdUpdated");
    client.sendMessage("hotsock.umdUpdate", { data: { token } });
    assert.equal((await updated).channel, undefined);
    const channel = join(client, "js.umd");
    await next(channel, "hotsock.subscribed");
    assert.equal(channel.umd, "after");
  });

  test("members come, change and go, and their metadata with them", async (t) => {
    const name = "presence.js";
    const channels = { [name]: { subscribe: true } };
    const ada = join(connect(t, { uid: "ada", channels }), name);
    await next(ada, "hotsock.subscribed");
    const bobs = connect(t, { uid: "bob", umd: "here", channels });
    const bob = join(bobs, name);
    await Promise.all([next(bob, "hotsock.subscribed"), next(ada, "hotsock.memberAdded")]);
    assert.deepEqual([uids(ada), uids(bob)], [["ada", "bob"], ["ada", "bob"]]);
    const umd = { channels: { [name]: { umdUpdate: true } }, uid: "bob", umd: "away" };
    const changed = [next(ada, "hotsock.memberUpdated"), next(bob, "hotsock.umdUpdated")];
    bob.sendMessage("hotsock.umdUpdate", { data: { token: sign({ scope: "umd", ...umd }) } });
    await Promise.all(changed);
    assert.deepEqual([bob.umd, ada.members[1]], ["away", { uid: "bob", umd: "away" }]);
    bobs.terminate();
    await next(ada, "hotsock.memberRemoved");
    assert.deepEqual(uids(ada), ["ada"]);
  });

  test("storage entries follow the subscription, come as they change, and are answered", async (t) => {
    const storage = { "*": { get: true, set: true, observe: true } };
    const channels = { "js.list": { subscribe: true, storage } };
    const writer = join(connect(t, { uid: "ada", channels }), "js.list");
    const written = next(writer, "hotsock.channelStorageUpdated");
    writer.sendMessage("hotsock.channelStorageSet", { key: "milk", data: { done: false } });
    assert.deepEqual((await written).data, { done: false });
    const reader = join(connect(t, { channels }), "js.list");
    const { key, data, meta } = await next(reader, "hotsock.channelStorageUpdated");
    assert.deepEqual([key, data, meta.uid], ["milk", { done: false }, "ada"]);
    reader.sendMessage("hotsock.channelStorageGet", { key: "milk" });
    assert.deepEqual((await next(reader, "hotsock.channelStorageData")).data, { done: false });
    const cleared = next(writer, "hotsock.channelStorageUpdated");
    reader.sendMessage("hotsock.channelStorageSet", { key: "milk", data: null });
    assert.deepEqual((await cleared).data, null);
  });

  test("a scheduled message comes at its time", async (t) => {
    const scheduleBefore = Math.ceil(Date.now() / 1000) + 60;
    const messages = { note: { publish: true, echo: true, scheduleBefore } };
    const channels = { "js.later": { subscribe: true, messages } };
    const channel = join(connect(t, { channels }), "js.later");
    await next(channel, "hotsock.subscribed");
    const due = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
    const scheduleExpression = `at(${due.toISOString().slice(0, 19)})`;
    channel.sendMessage("note", { data: "later", scheduleExpression });
    assert.equal((await next(channel, "note")).data, "later");
    assert.ok(Date.now() >= due.getTime());
  });

  test("a message whose answer was lost is sent again, and stored once", async (t) => {
    const messages = { note: { publish: true, store: 60 } };
    const channels = { "js.once": { subscribe: true, historyStart: 0, messages } };
    const client = connect(t, { uid: "ada", channels });
    const channel = join(client, "js.once");
    await next(channel, "hotsock.subscribed");
    const first = await channel.sendMessage("note", { data: 0 });
    const outcomes = [1, 2].map((data) => channel.sendMessage("note", { data }));
    client.suspend(); // the frames are on the wire, their answers are not heard
    client.resume();
    const ids = [first, ...(await Promise.all(outcomes))].map(({ id }) => id);
    const query = new URLSearchParams(client.activeConnection);
    const url = `${process.env.SERVER_URL}/connection/listMessages?${query}`;
    const body = JSON.stringify({ channel: "js.once" });
    const history = (await (await fetch(url, { method: "POST", body })).json()).messages;
    assert.deepEqual(history.map(({ id, data }) => [id, data]), ids.map((id, data) => [id, data]));
  });

  test("a refusal is told to whoever sent the message", async (t) => {
    const client = connect(t, { uid: "ada" });
    const { status, code } = await client.channels("js.refused").sendMessage("note");
    assert.deepEqual([status, code], ["failed", "PUBLISH_PERMISSION_DENIED"]);
  });

  test("heartbeats keep a connection whose token asks for them", async (t) => {
    const client = connect(t, { heartbeatTimeout: 5 });
    await next(client, "hotsock.connected");
    const closes = [];
    client.bind("@@disconnect", ({ code }) => closes.push(code));
    await sleep(7000);
    assert.deepEqual([client.state, closes], ["connected", []]);
  });

  test("a follower is told what happened while it was away, once and in order", async (t) => {
    const messages = { chat: { publish: true, echo: true, store: 60, react: true } };
    const channels = { "js.followed": { subscribe: true, historyStart: 0, messages } };
    const ada = connect(t, { uid: "ada", channels });
    const bob = join(connect(t, { uid: "bob", channels }), "js.followed");
    const follow = async (client, since) => {
      const told = [];
      const rounds = []; // of those who wait until it has caught up
      const follower = client.channels("js.followed").follow({
        since,
        onMessage: ({ data }) => told.push(data),
        onReaction: ({ reaction, action, uid }) => told.push(`${action} ${reaction} by ${uid}`),
        onDelete: ({ messageId }) => told.push(`delete ${messageId}`),
        onCaughtUp: () => rounds.shift()?.(),
      });
      const caughtUp = () => new Promise((resolve) => rounds.push(resolve));
      await caughtUp();
      return { told, follower, caughtUp };
    };
    const say = async (data) => {
      const echo = next(bob, "chat", (message) => message.data === data);
      bob.sendMessage("chat", { data });
      return (await echo).id;
    };
    const first = await say("one");
    const { told, follower, caughtUp } = await follow(ada);
    const live = next(ada.channels("js.followed"), "chat");
    const messageId = await say("two");
    await live;
    const since = JSON.parse(JSON.stringify(follower.position));
    ada.suspend();
    const data = { messageId, reaction: "👍", action: "add" };
    bob.sendMessage("hotsock.messageReaction", { data });
    await say("three"); // frames are handled in their order: by now the reaction is stored
    const { SERVER_URL, API_KEY } = process.env;
    const deletion = await fetch(`${SERVER_URL}/channels/js.followed/messages/${first}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${API_KEY}` },
    });
    assert.equal(deletion.status, 204);
    const again = caughtUp();
    ada.resume();
    await again;
    const expected = ["add 👍 by bob", `delete ${first}`, "one", "three", "two"];
    assert.deepEqual(told.toSorted(), expected);
    const later = await follow(connect(t, { uid: "cleo", channels }), since);
    assert.ok(later.told.includes("three"));
    assert.ok(!later.told.includes("two"));
    const iterator = bob.history({ limit: 2 });
    const newest = [await iterator.next(), await iterator.next()].map(({ value }) => value.data);
    assert.deepEqual(newest, ["three", "two"]);
  });

  test("how many subscribe is told, also on a subscription that was there before", async (t) => {
    const channels = { "js.counted": { subscribe: true, getInfo: true } };
    const here = join(connect(t, { uid: "ada", channels }), "js.counted");
    await next(here, "hotsock.subscribed");
    const told = [];
    const isTold = (count) =>
      new Promise((resolve) => {
        here.occupancy((each) => {
          told.push(each);
          if (each === count) resolve();
        });
      });
    await isTold(1);
    const two = isTold(2);
    join(connect(t, { uid: "bob", channels }), "js.counted");
    await two;
    assert.equal(told[0], 1);
  });
});

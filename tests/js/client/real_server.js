// The client against the real server at SERVER_URL, which test_real_server.py starts. Only what the
// fakes of the other tests take for granted; needs node 22 or later for its WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HotsockClient, decodeTime } from "../../../static/chat/client/index.js";
import { next } from "./next.js";

const HTTP = process.env.SERVER_URL;
const SOCKET = `${HTTP}/v1`;

async function tokens(request) {
  const response = await fetch(`${HTTP}/tokens`, { method: "POST", body: JSON.stringify(request) });
  return response.json();
}

/** A session of the demo with its two people, as clients that end with the test. */
async function open(t, options = {}) {
  const { sessionId, channel } = await tokens({});
  const join = (uid) => {
    const connectTokenFn = async () => (await tokens({ sessionId, uid })).token;
    const client = new HotsockClient(SOCKET, { connectTokenFn, logLevel: "silent", ...options });
    t.after(() => client.terminate());
    return { client, channel: client.channels(channel) };
  };
  return { jim: join("jim"), pam: join("pam"), channel };
}

async function listMessages({ client, channel }) {
  const { connectionId, connectionSecret } = client.activeConnection;
  const query = new URLSearchParams({ connectionId, connectionSecret });
  const response = await fetch(`${HTTP}/connection/listMessages?${query}`, {
    method: "POST",
    body: JSON.stringify({ channel: channel.name }),
  });
  return (await response.json()).messages;
}

/** Both subscribed, and kept so. */
async function subscribe(...people) {
  await Promise.all(
    people.map(({ channel }) => {
      channel.bind("unused", () => {});
      return next(channel, "hotsock.subscribed");
    }),
  );
}

test("Jim and Pam chat, with echo, uid, ids and history", async (t) => {
  const { jim, pam, channel } = await open(t);
  await subscribe(jim, pam);
  assert.deepEqual([jim.channel.uid, pam.channel.uid], ["jim", "pam"]);
  const heard = [next(jim.channel, "chat"), next(pam.channel, "chat")];
  jim.channel.sendMessage("chat", { data: { text: "Hi ❤️" } });
  const [echo, copy] = await Promise.all(heard);
  assert.deepEqual(echo, copy);
  const { event, data, meta } = echo;
  assert.deepEqual(
    [event, echo.channel, data, meta.uid],
    ["chat", channel, { text: "Hi ❤️" }, "jim"],
  );
  assert.ok(Math.abs(decodeTime(echo.id) - Date.now()) < 60_000);
  assert.deepEqual(
    (await listMessages(pam)).map(({ id }) => id),
    [echo.id],
  );
});

test("what is sent before connecting arrives once and in order", async (t) => {
  const { jim } = await open(t);
  const sent = Array.from({ length: 100 }, (_, index) => index);
  const heard = [];
  jim.channel.bind("chat", ({ data }) => heard.push(data));
  for (const data of sent) jim.channel.sendMessage("chat", { data });
  await next(jim.channel, "chat", ({ data }) => data === sent.at(-1));
  assert.deepEqual(heard, sent);
  assert.deepEqual(
    (await listMessages(jim)).map(({ data }) => data),
    sent,
  );
});

test("typing without data, and reactions, reach the other", async (t) => {
  const { jim, pam } = await open(t);
  await subscribe(jim, pam);
  const typing = next(pam.channel, "is-typing");
  jim.channel.sendMessage("is-typing");
  assert.deepEqual([(await typing).data, (await typing).meta.uid], [null, "jim"]);
  const message = next(jim.channel, "chat");
  pam.channel.sendMessage("chat", { data: "react to this" });
  const { id: messageId } = await message;
  for (const [action, event] of [
    ["add", "Added"],
    ["remove", "Removed"],
  ]) {
    const data = { messageId, reaction: "👍", action };
    const heard = [jim, pam].map((who) => next(who.channel, `hotsock.messageReaction${event}`));
    jim.channel.sendMessage("hotsock.messageReaction", { data });
    for (const frame of await Promise.all(heard)) assert.deepEqual(frame.data, data);
  }
});

test("the last unbind unsubscribes, and a new bind subscribes", async (t) => {
  const { jim } = await open(t);
  for (let round = 0; round < 2; round += 1) {
    const subscribed = next(jim.channel, "hotsock.subscribed"); // ends its own binding: the only one
    const ended = next(jim.client, "hotsock.unsubscribed");
    assert.equal((await subscribed).channel, jim.channel.name);
    await ended;
    assert.equal(jim.channel.subscribed, false);
  }
});

test("a refused channel is told, with what waited for it", async (t) => {
  const { jim } = await open(t);
  const refused = next(jim.client, "hotsock.error");
  const dropped = next(jim.client, "@@error");
  jim.client.bind("chat", () => {}, { channel: "not-mine" });
  jim.client.sendMessage("chat", { channel: "not-mine", data: "lost?" });
  const { channel, error } = await refused;
  assert.deepEqual([channel, error.code], ["not-mine", "SUBSCRIBE_PERMISSION_DENIED"]);
  assert.deepEqual([(await dropped).code, (await dropped).data], ["SUBSCRIBE_REFUSED", "lost?"]);
});

test("resume() after suspend() is a new connection with the same subscriptions", async (t) => {
  const { jim, pam } = await open(t);
  await subscribe(jim, pam);
  const { connectionId } = jim.client.activeConnection;
  jim.client.suspend();
  jim.channel.sendMessage("chat", { data: "written meanwhile" });
  const heard = next(pam.channel, "chat");
  jim.client.resume();
  assert.equal((await heard).data, "written meanwhile");
  assert.notEqual(jim.client.activeConnection.connectionId, connectionId);
});

test("a ping is answered", async (t) => {
  const { jim } = await open(t);
  const pong = next(jim.client, "hotsock.pong");
  jim.client.sendRawMessage('{"event":"hotsock.ping"}');
  assert.equal((await pong).data, "{}");
});

test("a refused token is tried again later, with a fresh one", async (t) => {
  const { token } = await tokens({});
  const given = ["no token", token];
  const connectTokenFn = () => given.shift();
  const client = new HotsockClient(SOCKET, { connectTokenFn, logLevel: "silent" });
  t.after(() => client.terminate());
  assert.equal((await next(client, "@@error")).code, "SOCKET_FAILED");
  await next(client, "hotsock.connected");
  assert.deepEqual([client.state, given], ["connected", []]);
});

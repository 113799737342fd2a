// A chat of Jim and Pam, written as an application writes it: two clients that know only the
// client's public face. The server's part is a room of a few lines on fake sockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HotsockClient, decodeTime } from "../../../static/chat/client/index.js";
import { fakeWorld, pass, settle, sockets } from "./harness.js";

const CHANNEL = "chat-abc123";
const START = Date.UTC(2030, 0, 1);
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

function ulid(time, count) {
  const digits = (value, length) =>
    Array.from(
      { length },
      (_, place) => ALPHABET[Math.floor(value / 32 ** (length - 1 - place)) % 32],
    );
  return [...digits(time, 10), ...digits(count, 16)].join("");
}

/** The server: one channel; chat is stored and echoed, reactions are echoed, typing is neither. */
class Room {
  stored = [];
  #members = new Map();

  /** Lets the newest socket in, as that uid. */
  admit(uid) {
    const socket = sockets.at(-1);
    socket.send = (text) => {
      socket.sent.push(text);
      queueMicrotask(() => this.#handle(socket, uid, JSON.parse(text)));
    };
    socket.connect(`connection of ${uid}`);
  }

  store(uid, data) {
    const id = ulid(START + this.stored.length * 1000, this.stored.length);
    const message = { id, event: "chat", channel: CHANNEL, data, meta: { uid, umd: null } };
    this.stored.push(message);
    return message;
  }

  /** connection/listMessages: up to 100, forward. */
  async list(url, { body }) {
    const { after = "" } = JSON.parse(body);
    const messages = this.stored.filter(({ id }) => id > after).slice(0, 100);
    return { json: async () => ({ messages }) };
  }

  #handle(socket, uid, { event, data }) {
    const meta = { uid, umd: null };
    const others = [...this.#members.keys()].filter((other) => other !== socket);
    const tell = (receivers, frame) => receivers.forEach((receiver) => receiver.say(frame));
    if (event === "hotsock.subscribe") {
      this.#members.set(socket, uid);
      socket.subscribed(CHANNEL, { uid });
    } else if (event === "chat") {
      tell([...this.#members.keys()], this.store(uid, data));
    } else if (event === "hotsock.messageReaction") {
      const done = data.action === "add" ? "Added" : "Removed";
      tell([...this.#members.keys()], { event: `${event}${done}`, channel: CHANNEL, data, meta });
    } else {
      tell(others, { event, channel: CHANNEL, data: null, meta });
    }
  }
}

/** One person's window, in the way an application would write it. */
class Window {
  messages = [];
  typing = "";
  #credentials = null;
  #typedAt = -Infinity;

  constructor(uid) {
    const connectTokenFn = async () => {
      const response = await fetch("https://chat.test/tokens", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ sessionId: "abc123", uid }),
      });
      return (await response.json()).token;
    };
    this.client = new HotsockClient("wss://chat.test/v1", { connectTokenFn });
    this.client.bind("hotsock.connected", ({ data }) => (this.#credentials = data));
    this.channel = this.client.channels(CHANNEL);
    this.channel.bind("hotsock.subscribed", () => this.#loadHistory());
    this.channel.bind("chat", (message) => this.#show(message));
    this.channel.bind("hotsock.messageReactionAdded", (message) => this.#react(message, true));
    this.channel.bind("hotsock.messageReactionRemoved", (message) => this.#react(message, false));
    this.channel.bind("is-typing", ({ meta }) => (this.typing = `${meta.uid} is typing`));
  }

  say(text) {
    this.channel.sendMessage("chat", { data: text });
  }

  type(now) {
    if (now - this.#typedAt < 1500) return;
    this.#typedAt = now;
    this.channel.sendMessage("is-typing");
  }

  /** One active reaction a person: another one takes the place of the first. */
  choose(messageId, reaction) {
    const { reactions } = this.messages.find(({ id }) => id === messageId);
    const active = Object.keys(reactions).find((name) =>
      reactions[name].includes(this.channel.uid),
    );
    const send = (action, value) =>
      this.channel.sendMessage("hotsock.messageReaction", {
        data: { messageId, reaction: value, action },
      });
    if (active) send("remove", active);
    if (active !== reaction) send("add", reaction);
  }

  async #loadHistory() {
    const { connectionId, connectionSecret } = this.#credentials;
    const query = new URLSearchParams({ connectionId, connectionSecret });
    const history = [];
    for (let page = null; page === null || page.length === 100; history.push(...page)) {
      const request = { channel: CHANNEL, expandReactions: true, after: history.at(-1)?.id };
      const body = JSON.stringify(request);
      const url = `https://chat.test/connection/listMessages?${query}`;
      page = (await (await fetch(url, { method: "POST", body })).json()).messages;
    }
    for (const message of history) this.#show(message);
  }

  #show({ id, meta, data }) {
    if (this.messages.some((message) => message.id === id)) return;
    const mine = meta.uid === this.channel.uid;
    this.messages.push({ id, text: data, mine, time: decodeTime(id), reactions: {} });
  }

  #react({ data, meta }, isAdded) {
    const { reactions } = this.messages.find(({ id }) => id === data.messageId);
    const others = (reactions[data.reaction] ?? []).filter((uid) => uid !== meta.uid);
    reactions[data.reaction] = isAdded ? [...others, meta.uid] : others;
  }
}

function fakeHttp(t, room) {
  const requests = [];
  t.mock.method(globalThis, "fetch", async (url, request) => {
    requests.push([new URL(url), request]);
    if (!url.endsWith("/tokens")) return room.list(url, request);
    return { json: async () => ({ token: `token of ${JSON.parse(request.body).uid}` }) };
  });
  return requests;
}

async function openWindows(t) {
  fakeWorld(t);
  const room = new Room();
  const requests = fakeHttp(t, room);
  const open = async (uid) => {
    const window = new Window(uid);
    t.after(() => window.client.terminate());
    await settle();
    room.admit(uid);
    await settle();
    return window;
  };
  return { room, requests, jim: await open("jim"), pam: await open("pam"), open };
}

test("each has a token and a socket of their own", async (t) => {
  await openWindows(t);
  const tokens = sockets.map(({ url }) => url.searchParams.get("token"));
  assert.deepEqual(tokens, ["token of jim", "token of pam"]);
});

test("what one says, both see, on their own side and with the time of its id", async (t) => {
  const { jim, pam } = await openWindows(t);
  assert.deepEqual([jim.channel.uid, pam.channel.uid], ["jim", "pam"]);
  jim.say("Hello");
  pam.say("Hi");
  await settle();
  const seen = (window) =>
    window.messages.map(({ text, mine, time }) => [text, mine, time - START]);
  assert.deepEqual(seen(jim), [
    ["Hello", true, 0],
    ["Hi", false, 1000],
  ]);
  assert.deepEqual(seen(pam), [
    ["Hello", false, 0],
    ["Hi", true, 1000],
  ]);
});

test("who comes later loads all of the history, page by page, with the credentials", async (t) => {
  const { room, requests, open } = await openWindows(t);
  for (let count = 0; count < 250; count += 1) room.store("jim", count);
  requests.length = 0;
  const third = await open("pam");
  assert.deepEqual(
    third.messages.map(({ text }) => text),
    room.stored.map(({ data }) => data),
  );
  const [, ...pages] = requests;
  const afters = pages.map(([, { body }]) => JSON.parse(body).after);
  assert.deepEqual(afters, [undefined, room.stored[99].id, room.stored[199].id]);
  for (const [{ searchParams }] of pages) {
    assert.equal(searchParams.get("connectionId"), "connection of pam");
    assert.equal(searchParams.get("connectionSecret"), "secret of connection of pam");
  }
});

test("each has one active reaction: another removes the first, the same one only removes", async (t) => {
  const { jim, pam } = await openWindows(t);
  jim.say("Hello");
  await settle();
  const [{ id }] = jim.messages;
  const steps = [
    [pam, "❤️", { "❤️": ["pam"] }],
    [jim, "❤️", { "❤️": ["pam", "jim"] }],
    [pam, "😂", { "❤️": ["jim"], "😂": ["pam"] }],
    [pam, "😂", { "❤️": ["jim"], "😂": [] }],
  ];
  for (const [window, reaction, expected] of steps) {
    window.choose(id, reaction);
    await settle();
    for (const { messages } of [jim, pam]) assert.deepEqual(messages[0].reactions, expected);
  }
  assert.deepEqual(
    sockets[1].frames.slice(1).map(({ event, data }) => [event, data.reaction, data.action]),
    [
      ["hotsock.messageReaction", "❤️", "add"],
      ["hotsock.messageReaction", "❤️", "remove"],
      ["hotsock.messageReaction", "😂", "add"],
      ["hotsock.messageReaction", "😂", "remove"],
    ],
  );
});

test("typing shows in the other window, and is told at most every 1.5 s, without data", async (t) => {
  const { jim, pam } = await openWindows(t);
  for (const now of [0, 700, 1499, 1500, 2999]) jim.type(now);
  await settle();
  assert.deepEqual([jim.typing, pam.typing], ["", "jim is typing"]);
  const told = sockets[0].frames.slice(1).map(({ ack, ...frame }) => [ack.length, frame]);
  const typing = [32, { event: "is-typing", channel: CHANNEL }];
  assert.deepEqual(told, [typing, typing]);
});

test("after a lost connection both go on where they were", async (t) => {
  const { room, jim, pam } = await openWindows(t);
  jim.say("before");
  await settle();
  sockets[1].end(1012);
  jim.say("meanwhile");
  pam.say("written offline");
  await pass(500);
  room.admit("pam");
  await settle();
  const texts = (window) => window.messages.map(({ text }) => text);
  const everything = ["before", "meanwhile", "written offline"];
  assert.deepEqual([texts(jim), texts(pam).toSorted()], [everything, everything]);
});

test("leaving terminates both, for good", async (t) => {
  const { jim, pam } = await openWindows(t);
  for (const window of [jim, pam]) window.client.terminate();
  await pass(60_000);
  assert.deepEqual(
    sockets.map(({ closedWith }) => closedWith),
    [1000, 1000],
  );
});

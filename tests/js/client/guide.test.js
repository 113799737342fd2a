// docs/client.md and its pages: their snippets run as they stand, and they name all that an
// application can use.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as client from "../../../static/chat/client/index.js";
import * as small from "../../../static/chat/client/small.js";
import { Channel } from "../../../static/chat/client/channel.js";
import { Follow } from "../../../static/chat/client/follow.js";
import { FollowingChannel } from "../../../static/chat/client/following_channel.js";
import { readOptions } from "../../../static/chat/client/options.js";
import { FakeHistory, idOf, message } from "./fake_history.js";
import { connectedClient, fakeWorld, newest, said, settle, sockets } from "./harness.js";

const PAGES = ["client", "client/send", "client/follow", "client/presence", "client/storage"];
const GUIDE = PAGES.map((page) =>
  readFileSync(new URL(`../../../docs/${page}.md`, import.meta.url), "utf8"),
).join("\n");
const SECTIONS = GUIDE.split(/^## /m).filter((section) => section.includes("```js"));
const AsyncFunction = (async () => {}).constructor;

/** The section's code. */
function snippet(title) {
  const section = SECTIONS.find((each) => each.startsWith(`${title}\n`));
  return section
    .split("```js\n")[1]
    .split("```")[0]
    .replace(/^import .*$/m, "");
}

/** Runs the code with these names; what it logs goes to `logged`. */
function execute(code, given, logged) {
  const log = (...words) => logged.push(words);
  const names = Object.keys(given);
  const program = new AsyncFunction("console", ...names, code);
  return program({ log, warn: log }, ...Object.values(given));
}

/** What the section's code logs and fetches, once it has run with this client. */
async function run(t, title, given, answer) {
  const [logged, fetched] = [[], []];
  t.mock.method(globalThis, "fetch", async (url, { body }) => {
    fetched.push([url, body && JSON.parse(body)]);
    return { text: async () => answer, json: async () => answer };
  });
  await execute(snippet(title), given, logged);
  await settle();
  return { logged, fetched };
}

test("Connect", async (t) => {
  fakeWorld(t);
  const made = [];
  class HotsockClient extends client.HotsockClient {
    constructor(...parameters) {
      super(...parameters);
      made.push(this);
    }
  }
  t.after(() => made[0].terminate());
  const { logged } = await run(t, "Connect", { HotsockClient }, "a-token");
  assert.equal(newest().url.searchParams.get("token"), "a-token");
  newest().connect();
  newest().subscribed("team");
  newest().say({ event: "message", channel: "team", data: "hi", meta: { uid: "pam" } });
  assert.deepEqual(said(), ["hotsock.subscribe team"]);
  assert.deepEqual(logged, [
    ["connected as", "jim"],
    ["pam", "hi"],
  ]);
});

test("Subscribe with a token", async (t) => {
  fakeWorld(t);
  const given = { client: await connectedClient() };
  const { logged, fetched } = await run(t, "Subscribe with a token", given, "sub");
  assert.deepEqual(fetched, [["/subscribe-token", { channel: "user.ada", connectionId: "id-1" }]]);
  assert.deepEqual(said(), ['hotsock.subscribe user.ada {"token":"sub"}']);
  newest().subscribed("user.ada");
  newest().say({ event: "notice", channel: "user.ada", data: "hi" });
  assert.deepEqual(logged, [["notice:", "hi"]]);
});

test("Presence", async (t) => {
  fakeWorld(t);
  const { logged } = await run(t, "Presence", { client: await connectedClient() });
  const [jim, pam] = [{ uid: "jim" }, { uid: "pam" }];
  newest().subscribed("presence.room", { data: { members: [jim] } });
  const data = { member: pam, members: [jim, pam] };
  newest().say({ event: "hotsock.memberAdded", channel: "presence.room", data });
  assert.deepEqual(logged, [
    ["here now:", ["jim"]],
    ["here now:", ["jim", "pam"]],
  ]);
});

test("Storage", async (t) => {
  fakeWorld(t);
  const { logged } = await run(t, "Storage", { client: await connectedClient() });
  newest().subscribed("list");
  const of = (event, key, data) => newest().say({ event, channel: "list", key, data, meta: null });
  of("hotsock.channelStorageUpdated", "milk", { done: false });
  of("hotsock.channelStorageUpdated", "milk", null);
  of("hotsock.channelStorageData", "milk", { done: false });
  assert.deepEqual(
    newest().frames.map(({ event, key, data }) => [event, key, data]),
    [
      ["hotsock.subscribe", undefined, undefined],
      ["hotsock.channelStorageSet", "milk", { done: false }],
      ["hotsock.channelStorageSet", "bread", null],
      ["hotsock.channelStorageGet", "milk", undefined],
    ],
  );
  assert.deepEqual(logged, [["milk", { done: false }]]);
});

test("Publish and react", async (t) => {
  fakeWorld(t);
  const { logged } = await run(t, "Publish and react", { client: await connectedClient() });
  newest().subscribed("team");
  for (const uid of ["jim", "pam"]) {
    newest().say({ event: "message", channel: "team", id: `by-${uid}`, meta: { uid } });
  }
  const data = { messageId: "by-pam", reaction: "👍", action: "add" };
  const meta = { uid: "jim", umd: null };
  newest().say({ event: "hotsock.messageReactionAdded", channel: "team", data, meta });
  assert.deepEqual(said(), [
    "hotsock.subscribe team",
    'message team "now"',
    'message team "on New Year\'s Day"',
    `hotsock.messageReaction team ${JSON.stringify(data)}`,
  ]);
  assert.deepEqual(logged, [["jim", "reacts to", "by-pam", "with", "👍"]]);
});

test("Send", async (t) => {
  fakeWorld(t);
  const { logged } = await run(t, "Send", { client: await connectedClient() });
  const [hello, question] = newest().frames;
  newest().acknowledge(hello.ack, { id: "01J" });
  newest().refuse("message", "desk", "RATE_LIMITED", question.ack);
  await settle();
  assert.deepEqual(said(), ['message desk "hello"', 'message desk "are you there?"', "cursor desk [3,4]"]);
  assert.deepEqual(logged, [
    ["stored as", "01J"],
    ["RATE_LIMITED", "No."],
  ]);
});

test("Typing", async (t) => {
  fakeWorld(t);
  const input = new EventTarget();
  const given = { client: await connectedClient(), document: { querySelector: () => input } };
  const { logged } = await run(t, "Typing", given);
  newest().subscribed("lounge");
  for (let keys = 0; keys < 3; keys += 1) input.dispatchEvent(new Event("input"));
  newest().say({ event: "is-typing", channel: "lounge", meta: { uid: "pam" } });
  assert.deepEqual(said(), ["hotsock.subscribe lounge", "is-typing lounge"]);
  assert.deepEqual(logged, [["typing:", ["pam"]]]);
});

test("Follow", async (t) => {
  fakeWorld(t);
  const history = new FakeHistory(t);
  const pages = new EventTarget();
  const stored = new Map();
  const given = {
    client: await connectedClient(),
    addEventListener: (...listener) => pages.addEventListener(...listener),
    localStorage: {
      getItem: (key) => stored.get(key) ?? null,
      setItem: (key, value) => stored.set(key, value),
    },
  };
  const [code, logged] = [snippet("Follow"), []];
  await execute(code, given, logged);
  newest().subscribed("team", { data: { position: 2, epoch: "e" } });
  const of = (number) => message(number, { channel: "team", event: "message" });
  await history.answer([of(2), of(1)]);
  const data = { messageId: idOf(2), reaction: "👍", action: "add" };
  const meta = { uid: "pam", umd: null };
  const event = "hotsock.messageReactionAdded";
  newest().say({ event, channel: "team", data, meta, position: 3 });
  pages.dispatchEvent(new Event("pagehide"));
  assert.deepEqual(logged, [
    [2, "came", ""],
    ["add", "👍", "by", "pam", "to", "message 2"],
  ]);
  const { since, messages } = JSON.parse(stored.get("team"));
  assert.deepEqual(since, { position: 3, epoch: "e", id: idOf(2) });
  assert.deepEqual(
    messages.map(({ id }) => id),
    [idOf(1), idOf(2)],
  );

  await execute(code, { ...given, client: await connectedClient() }, logged);
  assert.deepEqual(said(), ['hotsock.subscribe team {"since":3,"epoch":"e"}']);
});

test("History", async (t) => {
  fakeWorld(t);
  const history = new FakeHistory(t);
  const logged = [];
  const ended = execute(snippet("History"), { client: await connectedClient() }, logged);
  await settle();
  newest().subscribed("team");
  await history.answer([message(2), message(1)]);
  await ended;
  assert.deepEqual(logged, [
    [idOf(2), "message 2"],
    [idOf(1), "message 1"],
  ]);
});

test("Occupancy", async (t) => {
  fakeWorld(t);
  const { logged } = await run(t, "Occupancy", { client: await connectedClient() });
  newest().subscribed("team", { data: { subscriptionsCount: 3 } });
  assert.deepEqual(said(), ['hotsock.subscribe team {"occupancy":true}']);
  assert.deepEqual(logged, [[3, "are here"]]);
});

test("Errors and reconnecting", async (t) => {
  fakeWorld(t);
  const given = { client: await connectedClient() };
  const { logged } = await run(t, "Errors and reconnecting", given);
  newest().refuse("message", "team", "DATA_TOO_LARGE");
  newest().say("nonsense");
  newest().end(1001, "Going away");
  assert.deepEqual(logged, [
    ["team", "DATA_TOO_LARGE"],
    ["INVALID_FRAME", "received what is no frame"],
    ["offline", 1001, "Going away"],
  ]);
  assert.equal(sockets.length, 1);
});

const NAMES = [
  ...Object.getOwnPropertyNames(small.HotsockClient.prototype),
  ...Object.getOwnPropertyNames(FollowingChannel.prototype),
  ...Object.getOwnPropertyNames(Channel.prototype),
  ...Object.getOwnPropertyNames(Follow.prototype),
  ...Object.keys(readOptions({ connectTokenFn: () => "" })),
  ...Object.keys(client),
];

for (const name of new Set(NAMES.filter((each) => each !== "constructor"))) {
  test(`the guide names ${name}`, () => {
    assert.match(GUIDE, new RegExp(`\`[^\`\n]*\\b${name}\\b[^\`\n]*\``));
  });
}

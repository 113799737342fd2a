import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedClient, fakeWorld, newest } from "./harness.js";

test("members follow hotsock.subscribed and the member events, before callbacks run", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const channel = client.channels("presence.c");
  const seen = [];
  channel.bind(/^hotsock\./, ({ event }) => seen.push([event.slice(8), channel.members]));
  const [jim, pam] = [
    { uid: "jim", umd: null },
    { uid: "pam", umd: null },
  ];
  const happier = { uid: "pam", umd: { mood: "happy" } };
  newest().subscribed("presence.c", { data: { members: [jim] } });
  const tell = (event, member, members) =>
    newest().say({ event: `hotsock.${event}`, channel: "presence.c", data: { member, members } });
  tell("memberAdded", pam, [jim, pam]);
  tell("memberUpdated", happier, [jim, happier]);
  tell("memberRemoved", jim, [happier]);
  assert.deepEqual(seen, [
    ["subscribed", [jim]],
    ["memberAdded", [jim, pam]],
    ["memberUpdated", [jim, happier]],
    ["memberRemoved", [happier]],
  ]);
  client.suspend();
  assert.deepEqual(channel.members, [happier], "kept while reconnecting");
});

test("umd follows hotsock.umdUpdated, before callbacks run", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const channel = client.channels("c");
  const seen = [];
  channel.bind("hotsock.umdUpdated", () => seen.push([channel.uid, channel.umd]));
  newest().subscribed("c", { uid: "jim", umd: 1 });
  newest().say({
    event: "hotsock.umdUpdated",
    channel: "c",
    data: {},
    meta: { uid: "jim", umd: [2] },
  });
  newest().say({ event: "hotsock.umdUpdated", data: {}, meta: { uid: "jim", umd: "default" } });
  assert.deepEqual([seen, channel.umd], [[["jim", [2]]], [2]]);
});

// The client while its server dies and comes back; run by test_real_server.py, which kills the
// server when this says "ready" and starts it again. Ends with 0 when both have caught up.

import assert from "node:assert/strict";
import { HotsockClient } from "../../../static/chat/client/index.js";

const { SERVER_URL } = process.env;

async function requestTokens(request) {
  const body = JSON.stringify(request);
  return (await fetch(`${SERVER_URL}/tokens`, { method: "POST", body })).json();
}

const { sessionId, channel: name } = await requestTokens({});

function join(uid) {
  const client = new HotsockClient(`${SERVER_URL}/v1`, {
    connectTokenFn: async () => (await requestTokens({ sessionId, uid })).token,
    logLevel: "silent",
  });
  const channel = client.channels(name);
  const heard = [];
  channel.bind("chat", ({ data }) => heard.push(data));
  return { client, channel, heard };
}

/** @returns {Promise<object>} the next value of the event that fulfils the condition */
const next = (target, event, isWanted = () => true) =>
  new Promise((resolve) => {
    const binding = target.bind(event, (value) => {
      if (!isWanted(value)) return;
      binding.unbind();
      resolve(value);
    });
  });

const people = ["jim", "pam"].map(join);
const [jim] = people;
await Promise.all(people.map(({ channel }) => next(channel, "hotsock.subscribed")));

const lost = people.map(({ client }) => next(client, "@@disconnect"));
process.stdout.write("ready\n");
await Promise.all(lost);

const last = next(jim.channel, "chat", ({ data }) => data === "three");
for (const data of ["one", "two", "three"]) jim.channel.sendMessage("chat", { data });
await last;
assert.deepEqual(jim.heard, ["one", "two", "three"]);

await Promise.all(
  people.map(({ channel }) => channel.subscribed || next(channel, "hotsock.subscribed")),
);
const heard = people.map(({ channel }) => next(channel, "chat", ({ data }) => data === "four"));
jim.channel.sendMessage("chat", { data: "four" });
await Promise.all(heard);
assert.equal(jim.heard.length, 4);
for (const { client } of people) client.terminate();

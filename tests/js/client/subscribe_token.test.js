import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bindTo,
  connectedClient,
  fakeWorld,
  listen,
  newest,
  pass,
  reconnect,
  said,
  settle,
} from "./harness.js";

const subscribeWith = (token) => `hotsock.subscribe c {"token":"${token}"}`;

function countedTokens() {
  const asked = [];
  const subscribeTokenFn = async (details) => {
    asked.push(details);
    return `sub-${asked.length}`;
  };
  return { asked, subscribeTokenFn };
}

const WAYS = [
  ["client.bind", (client, fn) => bindTo(client, "c", { subscribeTokenFn: fn })],
  [
    "channel.bind",
    (client, fn) => client.channels("c").bind("chat", () => {}, { subscribeTokenFn: fn }),
  ],
  [
    "the channel's property",
    (client, fn) => {
      client.channels("c").subscribeTokenFn = fn;
      bindTo(client);
    },
  ],
];

for (const [way, give] of WAYS) {
  test(`a subscribeTokenFn given through ${way} is asked at every subscribing`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    const { asked, subscribeTokenFn } = countedTokens();
    give(client, subscribeTokenFn);
    assert.equal(client.channels("c").subscribeTokenFn, subscribeTokenFn);
    await settle();
    assert.deepEqual(said(), [subscribeWith("sub-1")]);
    newest().subscribed("c");
    await reconnect();
    await settle();
    assert.deepEqual(said(), [subscribeWith("sub-2")]);
    assert.deepEqual(asked, [
      { channel: "c", connectionId: "id-1" },
      { channel: "c", connectionId: "id-2" },
    ]);
  });
}

test("INVALID_SUBSCRIBE_TOKEN asks for a fresh token, three times in all", async (t) => {
  fakeWorld(t, { random: 0.5 });
  const client = await connectedClient();
  const { subscribeTokenFn } = countedTokens();
  const heard = listen(client, "hotsock.error", { channel: "c", subscribeTokenFn });
  await settle();
  for (const wait of [500, 1000, 29_000]) {
    newest().refuse("hotsock.subscribe", "c", "INVALID_SUBSCRIBE_TOKEN");
    await pass(wait);
  }
  assert.deepEqual(said(), ["sub-1", "sub-2", "sub-3"].map(subscribeWith));
  assert.equal(heard.length, 3);
});

test("an accepted subscription makes earlier refusals of tokens forgotten", async (t) => {
  fakeWorld(t, { random: 0 });
  const client = await connectedClient();
  bindTo(client, "c", countedTokens());
  await settle();
  for (let round = 0; round < 3; round += 1) {
    newest().refuse("hotsock.subscribe", "c", "INVALID_SUBSCRIBE_TOKEN");
    await pass(1);
    newest().refuse("hotsock.subscribe", "c", "INVALID_SUBSCRIBE_TOKEN");
    await pass(1);
    newest().subscribed("c");
    newest().refuse("chat", "c", "NOT_SUBSCRIBED");
    await settle();
  }
  assert.equal(said().length, 10);
});

const BAD_TOKENS = [
  [
    "throws",
    () => {
      throw new Error("none");
    },
  ],
  ["rejects", () => Promise.reject(new Error("none"))],
  ["gives no string", () => ({})],
];

for (const [what, subscribeTokenFn] of BAD_TOKENS) {
  test(`a subscribeTokenFn that ${what} is asked three times, then @@error is told`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const client = await connectedClient();
    const errors = listen(client, "@@error");
    const counted = t.mock.fn(subscribeTokenFn);
    bindTo(client, "c", { subscribeTokenFn: counted });
    client.sendMessage("chat", { channel: "c", data: 1 });
    await settle();
    await pass(500);
    await pass(999);
    assert.deepEqual([counted.mock.callCount(), errors], [2, []]);
    await pass(1);
    assert.equal(counted.mock.callCount(), 3);
    assert.deepEqual(
      errors.map(({ code, channel }) => [code, channel]),
      [
        ["SUBSCRIBE_TOKEN_FAILED", "c"],
        ["SUBSCRIBE_REFUSED", "c"],
      ],
    );
    assert.deepEqual([client.state, said()], ["connected", []]);
  });
}

const OVERTAKEN = [
  ["an unbind", (client) => client.clearBindings(), []],
  ["suspend()", (client) => client.suspend(), []],
  [
    "a subscription by the connect token",
    () => newest().subscribed("c", { data: { autoSubscribed: true } }),
    [],
  ],
];

for (const [what, act, expected] of OVERTAKEN) {
  test(`a subscribe token that arrives after ${what} is not used`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    let answer;
    const subscribeTokenFn = () => new Promise((resolve) => (answer = resolve));
    bindTo(client, "c", { subscribeTokenFn });
    await settle();
    act(client);
    answer("late");
    await settle();
    assert.deepEqual(said(), expected);
  });
}

test("a subscribe token for the connection before is not used on this one", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const answers = new Map();
  const subscribeTokenFn = ({ connectionId }) =>
    new Promise((resolve) => answers.set(connectionId, resolve));
  bindTo(client, "c", { subscribeTokenFn });
  await settle();
  await reconnect();
  await settle();
  answers.get("id-1")("for the first");
  await settle();
  assert.deepEqual(said(), []);
  answers.get("id-2")("for the second");
  await settle();
  assert.deepEqual(said(), [subscribeWith("for the second")]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { fakeWorld, listen, makeClient, newest, pass, settle, sockets } from "./harness.js";

const FAILURES = [
  [
    "throws",
    () => {
      throw new Error("no token today");
    },
    /no token today/,
  ],
  ["rejects", () => Promise.reject(new Error("no token today")), /no token today/],
  ["rejects with nothing", () => Promise.reject(), /undefined/],
  ["gives undefined", () => undefined, /not undefined/],
  ["gives null", () => null, /not null/],
  ["gives an empty string", async () => "", /not an empty one/],
  ["gives an object", async () => ({ token: "t" }), /not object/],
];

for (const [what, connectTokenFn, message] of FAILURES) {
  test(`a connectTokenFn that ${what} stops the client after its attempts`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const told = [];
    const client = makeClient({ connectTokenFn, connectTokenErrorFn: (error) => told.push(error) });
    const errors = listen(client, "@@error");
    await settle();
    assert.equal(client.state, "waiting");
    await pass(499);
    assert.equal(client.state, "waiting");
    await pass(1);
    assert.equal(client.state, "stopped");
    assert.deepEqual(
      errors.map(({ code }) => code),
      ["CONNECT_TOKEN_FAILED"],
    );
    assert.match(String(errors[0].cause), message);
    assert.deepEqual(told, errors);
    await pass(120_000);
    assert.deepEqual([client.state, sockets.length], ["stopped", 0]);
  });
}

function flakyTokens(failures) {
  let calls = 0;
  const connectTokenFn = async () => {
    calls += 1;
    if (calls <= failures) throw new Error("not yet");
    return `token-${calls}`;
  };
  return { connectTokenFn, calls: () => calls };
}

const ATTEMPTS = [
  ["1 is one", 1, [], 1],
  ["2, the default, is two", undefined, [500], 2],
  ["4 is four, each after a longer wait", 4, [500, 1000, 2000], 4],
];

for (const [what, connectTokenFnMaxAttempts, waits, expected] of ATTEMPTS) {
  test(`connectTokenFnMaxAttempts ${what}`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const { connectTokenFn, calls } = flakyTokens(Infinity);
    const client = makeClient({ connectTokenFn, connectTokenFnMaxAttempts });
    await settle();
    for (const wait of waits) {
      const before = calls();
      await pass(wait - 1);
      assert.equal(calls(), before);
      await pass(1);
      assert.equal(calls(), before + 1);
    }
    assert.deepEqual([client.state, calls()], ["stopped", expected]);
  });
}

test("with Infinity the client never stops, and waits 30 s at most", async (t) => {
  fakeWorld(t, { random: 1 });
  const { connectTokenFn, calls } = flakyTokens(20);
  makeClient({ connectTokenFn, connectTokenFnMaxAttempts: Infinity });
  await settle();
  while (calls() < 21) {
    const before = calls();
    await pass(30_000);
    assert.equal(calls(), before + 1);
  }
  newest().connect();
  assert.equal(newest().url.searchParams.get("token"), "token-21");
});

test("only failures in a row count", async (t) => {
  fakeWorld(t, { random: 0 });
  let calls = 0;
  const connectTokenFn = () => (++calls % 2 === 1 ? null : `token-${calls}`); // every other fails
  const client = makeClient({ connectTokenFn });
  await settle();
  for (const expected of ["token-2", "token-4", "token-6"]) {
    await pass(1);
    assert.equal(newest().url.searchParams.get("token"), expected);
    newest().connect();
    newest().end();
    await pass(1);
  }
  assert.equal(client.state, "waiting");
});

test("resume() after a stop begins with all attempts", async (t) => {
  fakeWorld(t, { random: 0 });
  const { connectTokenFn, calls } = flakyTokens(3);
  const client = makeClient({ connectTokenFn });
  await settle();
  await pass(1);
  assert.equal(client.state, "stopped");
  client.resume();
  await settle();
  assert.equal(client.state, "waiting");
  await pass(1);
  newest().connect();
  assert.deepEqual([client.state, calls()], ["connected", 4]);
});

test("a client that was connected goes on when the tokens are away too", async (t) => {
  fakeWorld(t, { random: 0.5 });
  let isAway = false;
  const connectTokenFn = t.mock.fn(() => (isAway ? null : "token"));
  const connectTokenErrorFn = t.mock.fn();
  const client = makeClient({ connectTokenFn, connectTokenErrorFn });
  await settle();
  newest().connect();
  isAway = true;
  newest().end();
  await pass(0); // the first attempt, at once
  await pass(500); // the second
  assert.equal(connectTokenErrorFn.mock.callCount(), 1);
  assert.equal(client.state, "waiting");
  for (let turn = 0; turn < 20; turn += 1) await pass(30_000);
  assert.ok(connectTokenErrorFn.mock.callCount() > 5);
  isAway = false;
  await pass(30_000);
  newest().connect();
  assert.equal(client.state, "connected");
});

test("connectTokenErrorFn may end a client that was connected", async (t) => {
  fakeWorld(t, { random: 0 });
  const tokens = ["token"];
  const connectTokenErrorFn = () => client.terminate();
  const connectTokenFn = t.mock.fn(() => tokens.pop());
  const client = makeClient({ connectTokenFn, connectTokenErrorFn });
  await settle();
  newest().connect();
  newest().end();
  for (let turn = 0; turn < 5; turn += 1) await pass(30_000);
  assert.deepEqual([client.state, connectTokenFn.mock.callCount()], ["terminated", 3]);
});

test("neither a bind nor a message leads out of a stop; they wait for resume()", async (t) => {
  fakeWorld(t);
  const { connectTokenFn, calls } = flakyTokens(1);
  const client = makeClient({ connectTokenFn, connectTokenFnMaxAttempts: 1 });
  await settle();
  listen(client, "chat", { channel: "c" });
  client.sendMessage("chat", { channel: "d" });
  await pass(60_000);
  assert.deepEqual([client.state, calls()], ["stopped", 1]);
  client.resume();
  await settle();
  newest().connect();
  assert.deepEqual(
    newest().frames.map(({ event }) => event),
    ["hotsock.subscribe", "chat"],
  );
});

test("a connectTokenFn that does not answer within 30 s has failed", async (t) => {
  fakeWorld(t);
  const never = new Promise(() => {});
  const client = makeClient({ connectTokenFn: () => never, connectTokenFnMaxAttempts: 1 });
  await pass(29_999);
  assert.equal(client.state, "connecting");
  await pass(1);
  assert.equal(client.state, "stopped");
});

test("a token that comes after its time opens nothing", async (t) => {
  fakeWorld(t, { random: 0 });
  const answers = [];
  const connectTokenFn = () => new Promise((resolve) => answers.push(resolve));
  const client = makeClient({ connectTokenFn });
  await pass(30_000);
  await pass(1);
  assert.equal(answers.length, 2);
  answers[0]("late");
  await settle();
  assert.equal(sockets.length, 0);
  answers[1]("in time");
  await settle();
  assert.equal(newest().url.searchParams.get("token"), "in time");
  assert.equal(client.state, "connecting");
});

const BROKEN_ERROR_FNS = [
  [
    "throws",
    () => {
      throw new Error("broken");
    },
  ],
  ["rejects", () => Promise.reject(new Error("broken"))],
];

for (const [what, connectTokenErrorFn] of BROKEN_ERROR_FNS) {
  test(`a connectTokenErrorFn that ${what} goes to @@error too`, async (t) => {
    fakeWorld(t);
    const options = { connectTokenFn: () => null, connectTokenFnMaxAttempts: 1 };
    const client = makeClient({ ...options, connectTokenErrorFn });
    const errors = listen(client, "@@error");
    await settle();
    const codes = errors.map(({ code }) => code).toSorted();
    assert.deepEqual(codes, ["CALLBACK_FAILED", "CONNECT_TOKEN_FAILED"]);
    assert.equal(client.state, "stopped");
  });
}

test("tokens and secrets are never logged, at no level", async (t) => {
  fakeWorld(t);
  const words = [];
  for (const level of ["debug", "info", "warn", "error"]) {
    t.mock.method(console, level, (...args) => words.push(inspect(args, { depth: 9 })));
  }
  let calls = 0;
  const connectTokenFn = () => (++calls === 1 ? { token: "SECRET" } : "SECRET");
  const client = makeClient({ logLevel: "debug", connectTokenFn });
  const subscribeTokenFn = () => "SECRET";
  client.bind("chat", () => {}, { channel: "c", subscribeTokenFn });
  await pass(1000);
  newest().connect("SECRET");
  await settle();
  newest().say("SECRET");
  newest().refuse("hotsock.subscribe", "c", "INVALID_SUBSCRIBE_TOKEN");
  newest().fail();
  await settle();
  assert.ok(words.length > 0);
  assert.doesNotMatch(words.join("\n"), /SECRET/);
});

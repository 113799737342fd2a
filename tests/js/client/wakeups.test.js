import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectedClient,
  fakeBrowser,
  fakeWorld,
  listen,
  makeClient,
  newest,
  pass,
  said,
  settle,
  sockets,
} from "./harness.js";

const WAKEUPS = [
  ["the network is back", (browser) => browser.goOnline(), true],
  ["the page is shown", (browser) => browser.show("visible"), true],
  ["the page is hidden", (browser) => browser.show("hidden"), false],
];

for (const [what, happen, wakes] of WAKEUPS) {
  test(`when ${what}, a waiting client ${wakes ? "connects at once" : "goes on waiting"}`, async (t) => {
    fakeWorld(t, { random: 1 });
    const browser = fakeBrowser(t);
    makeClient();
    await settle();
    for (const wait of [1000, 2000]) {
      newest().fail();
      await pass(wait);
    }
    newest().fail();
    happen(browser);
    await settle();
    assert.equal(sockets.length, wakes ? 4 : 3);
    await pass(3999);
    assert.equal(sockets.length, wakes ? 4 : 3, "and not a second time");
  });

  test(`when ${what}, a connected client ${wakes ? "pings once" : "does nothing"}`, async (t) => {
    fakeWorld(t);
    const browser = fakeBrowser(t);
    const client = await connectedClient();
    happen(browser);
    happen(browser);
    assert.deepEqual(said(), wakes ? ["hotsock.ping"] : []);
    await pass(5000);
    assert.equal(client.state, wakes ? "connecting" : "connected");
  });
}

test("a wake-up while waiting for another token asks for it at once", async (t) => {
  fakeWorld(t, { random: 1 });
  const browser = fakeBrowser(t);
  let calls = 0;
  const connectTokenFn = () => (++calls > 1 ? "token" : null);
  makeClient({ connectTokenFn });
  await settle();
  browser.goOnline();
  await settle();
  assert.deepEqual([calls, sockets.length], [2, 1]);
});

/** A client whose first call for a token hangs; `calls` has how to answer each. */
async function hangingClient(t) {
  fakeWorld(t, { random: 1 });
  const browser = fakeBrowser(t);
  const calls = [];
  const connectTokenFn = () => new Promise((resolve) => calls.push(resolve));
  makeClient({ connectTokenFn });
  await settle();
  return { browser, calls };
}

const ASKED_AGAIN = [
  ["the network is back", ({ browser }) => browser.goOnline()],
  ["the page is shown", ({ browser }) => browser.show("visible")],
  [
    "5 s have passed in a visible page",
    async ({ browser, calls }) => {
      browser.show("visible");
      await settle();
      calls.pop();
      await pass(4999);
      assert.equal(calls.length, 1);
      await pass(1);
    },
  ],
];

for (const [when, happen] of ASKED_AGAIN) {
  test(`when ${when}, a token that does not come is asked for again`, async (t) => {
    const world = await hangingClient(t);
    await happen(world);
    await settle();
    assert.equal(world.calls.length, 2);
    world.calls[1]("second");
    await settle();
    world.calls[0]("first");
    await pass(4000);
    assert.deepEqual(
      sockets.map(({ url }) => url.searchParams.get("token")),
      ["second"],
    );
    newest().connect();
    await pass(10_000);
    assert.equal(world.calls.length, 2);
  });
}

test("a slow token counts, although it was asked for again", async (t) => {
  const { browser, calls } = await hangingClient(t);
  browser.goOnline();
  calls[0]("first");
  await settle();
  assert.equal(newest().url.searchParams.get("token"), "first");
});

test("in a hidden page nothing but a wake-up asks again", async (t) => {
  const { calls } = await hangingClient(t);
  await pass(29_999);
  assert.equal(calls.length, 1);
});

const UNMOVED = [
  ["idle", () => makeClient({ lazyConnection: true })],
  ["connecting", () => makeClient()],
  ["suspended", async () => (await connectedClient()).suspend()],
  ["stopped", () => makeClient({ connectTokenFn: () => null, connectTokenFnMaxAttempts: 1 })],
  ["terminated", async () => (await connectedClient()).terminate()],
];

for (const [state, reach] of UNMOVED) {
  test(`a wake-up does not move a client that is ${state}`, async (t) => {
    fakeWorld(t);
    const browser = fakeBrowser(t);
    await reach();
    await settle();
    const count = sockets.length;
    browser.goOnline();
    browser.show("visible");
    await pass(4000);
    assert.equal(sockets.length, count);
    for (const socket of sockets) assert.deepEqual(socket.sent, []);
  });
}

test("a terminated client leaves no listener behind", async (t) => {
  fakeWorld(t);
  fakeBrowser(t);
  const heldBy = { window: new Set(), document: new Set() };
  const holder = (name) => ({
    addEventListener: (type) => heldBy[name].add(type),
    removeEventListener: (type) => heldBy[name].delete(type),
  });
  Object.assign(globalThis, holder("window"));
  Object.assign(globalThis.document, holder("document"));
  const client = makeClient();
  assert.deepEqual([heldBy.window.size, heldBy.document.size], [2, 1]);
  client.terminate();
  assert.deepEqual([heldBy.window.size, heldBy.document.size], [0, 0]);
});

const TRIES = [
  ["the handshake is refused", {}, () => newest().fail()],
  ["there is no token", { connectTokenFnMaxAttempts: Infinity, connectTokenFn: () => null }, () => {}],
];

for (const [why, options, fail] of TRIES) {
  test(`while the page is visible, the next try comes within 5 s: ${why}`, async (t) => {
    fakeWorld(t, { random: 1 });
    fakeBrowser(t).show("visible");
    const client = makeClient(options);
    await settle();
    for (const wait of [1000, 2000, 4000, 5000, 5000]) {
      fail();
      await pass(wait - 1);
      assert.equal(client.state, "waiting");
      await pass(1);
      if (!options.connectTokenFn) assert.equal(client.state, "connecting");
    }
  });
}

test("whoever was asked to try later does so, visible or not, until a connection lasts", async (t) => {
  fakeWorld(t, { random: 1 });
  fakeBrowser(t).show("visible");
  const client = await connectedClient();
  newest().end(1013);
  for (const wait of [1000, 2000, 4000, 8000, 16_000, 30_000]) {
    await pass(wait - 1);
    assert.equal(client.state, "waiting", `not before ${wait} ms`);
    await pass(1);
    newest().fail();
  }
  await pass(30_000);
  newest().connect();
  await pass(10_000);
  newest().end();
  for (const wait of [1, 2000, 4000, 5000, 5000]) {
    await pass(wait);
    assert.equal(client.state, "connecting", `after ${wait} ms`);
    newest().fail();
  }
});

test("while the page is visible, a silent socket is found within 10 s", async (t) => {
  fakeWorld(t);
  const browser = fakeBrowser(t);
  const client = await connectedClient();
  browser.show("visible");
  newest().say({ event: "hotsock.pong" });
  const closes = listen(client, "@@disconnect");
  await pass(4500);
  assert.deepEqual(said(), ["hotsock.ping", "hotsock.ping"]);
  await pass(5000);
  assert.equal(closes.length, 1);
});

test("without a network the connection is over at once, and the next is tried", async (t) => {
  fakeWorld(t);
  const browser = fakeBrowser(t);
  const client = await connectedClient();
  const closes = listen(client, "@@disconnect");
  browser.goOffline();
  assert.deepEqual(
    closes.map(({ code, reason }) => [code, reason]),
    [[1006, "the network is gone"]],
  );
  assert.deepEqual([client.state, newest().closedWith], ["waiting", 1000]);
  await pass(1);
  browser.goOffline();
  assert.deepEqual([client.state, sockets.length, closes.length], ["connecting", 2, 1]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connectedClient,
  fakeWorld,
  makeClient,
  newest,
  pass,
  said,
  settle,
  sockets,
} from "./harness.js";

/** A browser's globals, as far as wake-ups need them. */
function fakeBrowser(t) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const globals = {
    document,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  };
  Object.assign(globalThis, globals);
  t.after(() => Object.keys(globals).forEach((name) => delete globalThis[name]));
  return {
    goOnline: () => window.dispatchEvent(new Event("online")),
    show: (visibilityState) => {
      document.visibilityState = visibilityState;
      document.dispatchEvent(new Event("visibilitychange"));
    },
  };
}

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
  assert.deepEqual([heldBy.window.size, heldBy.document.size], [1, 1]);
  client.terminate();
  assert.deepEqual([heldBy.window.size, heldBy.document.size], [0, 0]);
});

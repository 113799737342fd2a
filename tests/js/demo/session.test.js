import assert from "node:assert/strict";
import { test } from "node:test";
import { keepSession, wantedSession } from "../../../static/chat/demo/model/session.js";

/** A browser's address and storage, as far as the session needs them. */
function browser(t, hash, stored = {}) {
  const steps = [];
  const go = (kind) => (_state, _title, to) => {
    steps.push(`${kind} ${to}`);
    world.location.hash = to;
  };
  const items = new Map(Object.entries(stored));
  const world = {
    location: { hash },
    history: { pushState: go("push"), replaceState: go("replace") },
    localStorage: {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => items.set(key, value),
    },
  };
  for (const [name, value] of Object.entries(world)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.after(() => {
    for (const name of Object.keys(world)) delete globalThis[name];
  });
  return { steps, items };
}

const KEY = "hotsock-chat-session";

const WANTED = [
  ["nothing, where this browser has never been here", "", {}, undefined],
  ["the hash first", "#from-hash", { [KEY]: "from-storage" }, "from-hash"],
  ["then what the browser kept", "", { [KEY]: "from-storage" }, "from-storage"],
  ["the bare # is no hash", "#", { [KEY]: "from-storage" }, "from-storage"],
];

for (const [what, hash, stored, expected] of WANTED) {
  test(`wanted is ${what}`, (t) => {
    browser(t, hash, stored);
    assert.equal(wantedSession(), expected);
  });
}

test("a session is kept in the storage and in the address", (t) => {
  const { steps, items } = browser(t, "");
  keepSession("abc", false);
  assert.deepEqual([steps, items.get(KEY)], [["replace #abc"], "abc"]);
  keepSession("abc", false);
  assert.deepEqual(steps, ["replace #abc"]);
});

test("a new session leaves the one before to the Back button", (t) => {
  const { steps } = browser(t, "#abc");
  keepSession("new", true);
  assert.deepEqual(steps, ["push #new"]);
});

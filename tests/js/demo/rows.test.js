import assert from "node:assert/strict";
import { test } from "node:test";
import { nextWords, rowsOf } from "../../../static/chat/demo/model/rows.js";
import { Unread } from "../../../static/chat/demo/model/unread.js";

const NOON = new Date(2030, 0, 2, 12).getTime();
const MINUTE = 60_000;

const entry = (id, { uid = "pam", time = NOON, event = "chat", ...more } = {}) => ({
  id,
  uid,
  time,
  event,
  text: id,
  reactions: new Map(),
  ...more,
});

const item = (key, { state = "sent", at = NOON, reason } = {}) => ({
  key,
  state,
  at,
  reason,
  text: `waits ${key}`,
});

const rows = ({ entries = [], waiting = [], unreadId = null, now = NOON }) =>
  rowsOf({ entries, waiting, own: "jim", unreadId, now });

const keys = (shown) => rows(shown).map(({ key }) => key);

test("what waits stands behind the messages, and everything else than chat nowhere", () => {
  const entries = [entry("a"), entry("b", { event: "note" }), entry("c")];
  assert.deepEqual(keys({ entries, waiting: [item(1), item(2)] }), ["a", "c", "waiting-1", "waiting-2"]);
});

test("a message keeps the key under which it waited", () => {
  const entries = [entry("a", { key: "waiting-1" })];
  assert.deepEqual(keys({ entries }), ["waiting-1"]);
});

test("a run ends with its sender, after a pause, and at the line above what is unread", () => {
  const entries = [
    entry("a"),
    entry("b"),
    entry("c", { uid: "jim" }),
    entry("d"),
    entry("e", { time: NOON + 11 * MINUTE }),
    entry("f", { time: NOON + 11 * MINUTE }),
  ];
  const edges = rows({ entries, unreadId: "f" }).map(
    ({ key, isFirst, isLast }) => `${isFirst ? "[" : ""}${key}${isLast ? "]" : ""}`,
  );
  assert.deepEqual(edges, ["[a", "b]", "[c]", "[d]", "[e]", "unread", "[f]"]);
});

test("what waits belongs to the run before it", () => {
  const entries = [entry("a", { uid: "jim" })];
  const runs = rows({ entries, waiting: [item(1)] }).map(({ isFirst, isLast }) => [isFirst, isLast]);
  assert.deepEqual(runs, [[true, false], [false, true]]);
});

test("the line stands nowhere while its message is not here", () => {
  assert.deepEqual(keys({ entries: [entry("a")], unreadId: "0" }), ["a"]);
});

test("the last one that waits has words after 2 s, a refusal at once", () => {
  const waiting = [item(0), item(1), item(2, { state: "failed", reason: "Too large." })];
  const words = (now) => rows({ waiting, now }).map(({ fate }) => fate.words);
  assert.deepEqual(words(NOON + 1999), ["", "", "Not sent. Too large."]);
  assert.deepEqual(words(NOON + 2000), ["", "Not sent yet", "Not sent. Too large."]);
  assert.equal(nextWords(waiting, NOON + 1), NOON + 2000);
  assert.equal(nextWords(waiting, NOON + 2000), Infinity);
});

test("unread is what arrived out of sight; read, its line stays until more arrives or one writes", () => {
  const unread = new Unread();
  const now = () => [unread.count, unread.firstId];
  unread.arrived("a", true);
  assert.deepEqual(now(), [0, null]);
  unread.arrived("b", false);
  unread.arrived("c", false);
  assert.deepEqual(now(), [2, "b"]);
  unread.read();
  assert.deepEqual(now(), [0, "b"]);
  unread.arrived("d", false);
  assert.deepEqual(now(), [1, "d"]);
  unread.forget();
  assert.deepEqual(now(), [0, null]);
});

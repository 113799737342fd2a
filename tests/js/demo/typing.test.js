import assert from "node:assert/strict";
import { test } from "node:test";
import { TypingPeople, TypingSignal } from "../../../static/chat/demo/model/typing.js";

function signalAt(times) {
  const clock = [...times];
  return new TypingSignal(() => clock.shift());
}

test("typing is told at once, then at most each 1.5 s", () => {
  const signal = signalAt([10_000, 10_001, 11_499, 11_500, 12_999, 13_000]);
  const told = Array.from({ length: 6 }, () => signal.due("h"));
  assert.deepEqual(told, [true, false, false, true, false, true]);
});

test("an emptied composer tells nothing and starts no pause", () => {
  const signal = signalAt([0, 1, 2]);
  assert.deepEqual([signal.due(""), signal.due(" \n"), signal.due("h")], [false, false, true]);
});

function people(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const seen = [];
  const typing = new TypingPeople(() => seen.push(typing.uids));
  return { typing, seen };
}

test("whoever types is shown for 2 s after the last sign", (t) => {
  const { typing, seen } = people(t);
  typing.add("pam");
  t.mock.timers.tick(1999);
  typing.add("pam");
  t.mock.timers.tick(1999);
  assert.deepEqual(typing.uids, ["pam"]);
  t.mock.timers.tick(1);
  assert.deepEqual(typing.uids, []);
  assert.deepEqual(seen, [["pam"], ["pam"], []]);
});

test("a message ends it at once, and its timer does nothing later", (t) => {
  const { typing, seen } = people(t);
  typing.add("pam");
  typing.remove("pam");
  t.mock.timers.tick(5000);
  typing.remove("pam");
  assert.deepEqual(seen, [["pam"], []]);
});

test("several people type, each with their own time", (t) => {
  const { typing } = people(t);
  typing.add("pam");
  t.mock.timers.tick(1000);
  typing.add("kim");
  t.mock.timers.tick(1000);
  assert.deepEqual(typing.uids, ["kim"]);
  typing.clear();
  assert.deepEqual(typing.uids, []);
});

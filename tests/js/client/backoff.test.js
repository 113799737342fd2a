import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../static/chat/client/backoff.js";

function delays(count, backoff, options) {
  return Array.from({ length: count }, () => backoff.next(options));
}

test("the ceiling doubles up to 30 s", (t) => {
  t.mock.method(Math, "random", () => 1);
  assert.deepEqual(
    delays(8, new Backoff()),
    [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000],
  );
});

test("the jitter is full: any time from zero to the ceiling", (t) => {
  const chances = [0, 0.25, 0.5];
  t.mock.method(Math, "random", () => chances.shift());
  assert.deepEqual(delays(3, new Backoff()), [0, 500, 2000]);
});

test("at once is for the first failure only", (t) => {
  t.mock.method(Math, "random", () => 1);
  assert.deepEqual(delays(3, new Backoff(), { atOnce: true }), [0, 2000, 4000]);
});

test("a reset begins anew", (t) => {
  t.mock.method(Math, "random", () => 1);
  const backoff = new Backoff();
  delays(3, backoff);
  backoff.reset();
  assert.equal(backoff.next(), 1000);
});

test("no delay is given once the attempts are used up", (t) => {
  t.mock.method(Math, "random", () => 1);
  assert.deepEqual(delays(4, new Backoff(3)), [1000, 2000, null, null]);
});

test("however many failures, the delay is a number", (t) => {
  t.mock.method(Math, "random", () => 1);
  assert.equal(delays(2000, new Backoff()).at(-1), 30_000);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  breakBetween,
  clockWords,
  dayWords,
  exactWords,
} from "../../../static/chat/demo/model/times.js";

const MINUTE = 60_000;
const at = (...parts) => new Date(2026, ...parts).getTime();

const BREAKS = [
  ["the first message", NaN, at(5, 1, 12), "day"],
  ["one at once", at(5, 1, 12), at(5, 1, 12), null],
  ["one just before ten minutes have passed", at(5, 1, 12), at(5, 1, 12) + 10 * MINUTE - 1, null],
  ["one after ten minutes", at(5, 1, 12), at(5, 1, 12) + 10 * MINUTE, "pause"],
  ["one after midnight", at(5, 1, 23, 59), at(5, 2, 0, 1), "day"],
  ["one of the same day a year later", at(5, 1, 12), at(17, 1, 12), "day"],
  ["one without a time", at(5, 1, 12), NaN, null],
  ["one after one without a time", NaN, at(5, 1, 12), "day"],
];

for (const [what, before, time, kind] of BREAKS) {
  test(`before ${what}: ${kind ?? "nothing"}`, () => {
    assert.equal(breakBetween(before, time), kind);
  });
}

test("the hour is not padded", () => {
  assert.match(clockWords(at(5, 1, 9, 5)), /^9\D05/);
  assert.doesNotMatch(clockWords(at(5, 1, 0, 5)), /^00/);
});

test("the exact time has day, hour and second", () => {
  assert.match(exactWords(at(5, 1, 9, 5, 7)), /2026.*\D9\D05\D07/);
});

test("a day is told as people tell it", () => {
  const now = at(5, 10, 0, 1);
  const [today, yesterday] = [dayWords(now, now), dayWords(at(5, 9, 23, 59), now)];
  assert.equal(new Set([today, yesterday, dayWords(at(5, 8), now)]).size, 3);
  assert.match(today, /^[^\p{Ll}\d]/u);
  assert.match(dayWords(at(5, 8), now), /^\D*8\D*$/);
});

test("long ago has its year", () => {
  assert.match(dayWords(at(5, 8), at(5, 8) + 301 * 24 * 60 * MINUTE), /2026/);
  assert.doesNotMatch(dayWords(at(5, 8), at(5, 10)), /2026/);
});

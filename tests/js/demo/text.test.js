import assert from "node:assert/strict";
import { test } from "node:test";
import { readMessage } from "../../../static/chat/demo/model/text.js";

const KIB_32 = 32 * 1024;

const TYPED = [
  ["is trimmed", " \n hi\tthere \n", "hi\tthere"],
  ["keeps its lines", "one\ntwo", "one\ntwo"],
  ["of several lines keeps their indentation", "\n \n  if:\n    then \n", "  if:\n    then"],
  ["of blanks is nothing", " \n\t　", ""],
  ["loses NUL, which the server cannot store", "a\0b", "ab"],
  ["gets whole characters for halves", "a\ud83d", "a\ufffd"],
  ["keeps emoji", "👍🏽", "👍🏽"],
];

for (const [what, typed, text] of TYPED) {
  test(`a text ${what}`, () => assert.deepEqual(readMessage(typed), { text }));
}

const LENGTHS = [
  ["32 KiB with its quotes", "x".repeat(KIB_32 - 2), false],
  ["one byte more", "x".repeat(KIB_32 - 1), true],
  ["bytes of UTF-8, not characters", "€".repeat(11_000), true],
  ["what JSON makes longer", '"'.repeat(KIB_32 / 2), true],
];

for (const [what, typed, isTooLong] of LENGTHS) {
  test(`${what}: ${isTooLong ? "too long" : "fits"}`, () => {
    const { text, problem } = readMessage(typed);
    assert.equal(text, typed);
    assert.equal(Boolean(problem?.includes("32 KiB")), isTooLong);
  });
}

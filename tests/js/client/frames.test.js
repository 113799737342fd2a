import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "../../../static/chat/client/frames.js";

const NO_FRAMES = [
  ["empty text", ""],
  ["no JSON", "{event:'chat'}"],
  ["JSON cut short", '{"event":"chat"'],
  ["null", "null"],
  ["a number", "1"],
  ["a string", '"chat"'],
  ["an array", '[{"event":"chat"}]'],
  ["no event", '{"channel":"c"}'],
  ["an event that is no string", '{"event":1}'],
  ["an event that is null", '{"event":null}'],
  ["a channel that is no string", '{"event":"chat","channel":["c"]}'],
  ["binary", new ArrayBuffer(2)],
  ["nothing", undefined],
];

for (const [what, text] of NO_FRAMES) {
  test(`${what} is no frame`, () => assert.equal(decode(text), null));
}

const FRAMES = [
  { event: "chat" },
  { event: "chat", channel: null },
  { event: "chat", channel: "c", data: { deep: [1, "two", null] }, meta: 7, unknown: true },
  { event: "constructor", channel: "__proto__" },
];

for (const frame of FRAMES) {
  const text = JSON.stringify(frame);
  test(`${text} is a frame`, () => assert.deepEqual(decode(text), frame));
}

test("fields that are undefined are left out, those that are null are not", () => {
  assert.equal(encode({ event: "e", channel: undefined, data: null }), '{"event":"e","data":null}');
});

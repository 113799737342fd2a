import assert from "node:assert/strict";
import { test } from "node:test";
import { Meanings, sizeWords } from "../../../static/chat/demo/model/inside-words.js";
import { CHANNEL, chat, deleted, idOf, reacted } from "./harness.js";

const meanings = () => new Meanings(() => CHANNEL);

const of = (kind, frame, reader = meanings()) =>
  reader.of({ kind, text: typeof frame === "string" ? frame : JSON.stringify(frame) });

const subscribed = (data) => ({ event: "hotsock.subscribed", channel: CHANNEL, data });

for (const [kind, frame, words] of [
  ["out", { event: "chat", channel: CHANNEL, data: "hi" }, "Publishes “hi” on this channel."],
  ["out", { event: "chat", channel: "c", data: {} }, "Publishes on c."],
  [
    "out",
    { event: "hotsock.subscribe", channel: CHANNEL, data: { since: 12, epoch: "e" } },
    "Wants to hear of this channel, and asks for what changed after number 12.",
  ],
  ["in", chat(7), "A message of pam, number 7: “message 7”"],
  ["in", chat(7, { meta: undefined }), "A message of the server, number 7: “message 7”"],
  ["in", reacted(1, "jim", "👍"), "jim reacted with 👍 to the message …000001."],
  ["in", deleted(1), "The message …000001 was deleted."],
  ["in", { event: "is-typing", meta: { uid: "pam" } }, "pam types. Nobody stores that."],
  [
    "in",
    { event: "hotsock.error", error: { code: "RATE_LIMITED", message: "Wait.", event: "chat" } },
    "Refused: RATE_LIMITED. Wait.",
  ],
  [
    "in",
    { event: "hotsock.ack", data: { ack: "a", id: idOf(1), repeated: true } },
    "The server has done it already, at an earlier try. It is the message …000001.",
  ],
  ["closed", "1012 restart", "The server restarts. (1012 restart)"],
  ["closed", "4999", "The connection ended. (4999)"],
]) {
  test(`in words: ${words}`, () => {
    assert.equal(of(kind, frame).words, words);
  });
}

test("what comes to catch up says so, and what comes after it does not", () => {
  const reader = meanings();
  const say = (frame) => of("in", frame, reader);
  assert.match(say(subscribed({ position: 3, recovered: true, replayed: 2 })).words, /in frames: 2\./);
  const tones = [chat(2), { event: "is-typing", channel: CHANNEL }, chat(3), chat(4)].map(say);
  assert.deepEqual(tones.map(({ tone }) => tone), ["missed", "", "missed", ""]);
  assert.match(tones[2].words, /^Missed, 2 of 2: A message of pam, number 3/);
});

test("a connection that ends leaves nothing to catch up with", () => {
  const reader = meanings();
  of("in", subscribed({ recovered: true, replayed: 2 }), reader);
  of("in", { event: "hotsock.connected", data: {} }, reader);
  assert.equal(of("in", chat(2), reader).tone, "");
});

test("whether recovery was possible is said", () => {
  assert.match(of("in", subscribed({ recovered: false })).words, /read from the history/);
  assert.match(of("in", subscribed({ recovered: true, replayed: 0 })).words, /Nothing was missed/);
});

const HOSTILE = [null, 1, "x", [], {}, { toString: 1 }, { uid: { toString: null } }];
const EVENTS = ["chat", "constructor", "__proto__", "hotsock.subscribed", "hotsock.messageDeleted"];
EVENTS.push("hotsock.ack", "hotsock.error", "hotsock.memberAdded", "hotsock.messageReactionAdded");

test("a frame of any shape has words", () => {
  for (const event of EVENTS) {
    for (const value of HOSTILE) {
      const frame = { event, channel: value, data: value, meta: value, error: value, key: value };
      for (const kind of ["in", "out"]) assert.equal(typeof of(kind, frame).words, "string");
    }
  }
  for (const text of ["", "no JSON", "null", "[]", '{"event":1}']) {
    assert.match(of("in", text).words, /no frame/);
  }
});

test("a long name is cut", () => {
  assert.ok(of("in", { event: "e".repeat(1000) }).title.length < 100);
});

test("sizes", () => {
  const sizes = [0, 999, 1000, 12_345, 123_456];
  assert.deepEqual(sizes.map(sizeWords), ["0 B", "999 B", "1.0 KB", "12.3 KB", "123 KB"]);
});

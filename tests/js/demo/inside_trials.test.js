import assert from "node:assert/strict";
import { test } from "node:test";
import { TRIALS, verdict } from "../../../static/chat/demo/model/inside-trials.js";
import { CHANNEL } from "./harness.js";

const TRIAL = { event: "chat", channel: "c", ack: "mine" };
const error = (fields) => ({ code: "NO", message: "You may not.", event: "chat", ...fields });

test("a refusal is known by its ack, or by its event and channel", () => {
  const refused = "Refused: You may not. (NO)";
  const answer = (channel, fields) => ({ event: "hotsock.error", channel, error: error(fields) });
  assert.equal(verdict(TRIAL, answer("c", { ack: "mine" })), refused);
  assert.equal(verdict(TRIAL, answer("c", {})), refused);
  assert.equal(verdict(TRIAL, answer("c", { ack: "another" })), null);
  assert.equal(verdict(TRIAL, answer("d", {})), null);
});

test("what the server allows is told, too", () => {
  const acknowledged = { event: "hotsock.ack", channel: "c", data: { ack: "mine" } };
  assert.equal(verdict(TRIAL, acknowledged), "The server allowed it.");
  const listen = { event: "hotsock.subscribe", channel: "d", ack: "mine" };
  const subscribed = { event: "hotsock.subscribed", channel: "d", data: {} };
  assert.equal(verdict(listen, subscribed), "The server allowed it.");
  for (const frame of [undefined, null, 1, { event: "chat", channel: "c" }]) {
    assert.equal(verdict(TRIAL, frame), null);
  }
});

test("without a message there is nothing to react to", () => {
  const frames = TRIALS.map(({ frame }) => frame({ channel: CHANNEL, messageId: () => undefined }));
  assert.equal(frames.filter((frame) => frame === null).length, 1);
});

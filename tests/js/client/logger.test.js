import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedClient, fakeWorld, makeClient, newest, settle } from "./harness.js";
import { Logger } from "../../../static/chat/client/logger.js";

const LEVELS = ["debug", "info", "warn", "error"];

const WRITTEN = [
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
  ["silent", []],
];

for (const [level, expected] of WRITTEN) {
  test(`at ${level}, what is written is: ${expected.join(", ") || "nothing"}`, (t) => {
    const written = [];
    for (const name of LEVELS)
      t.mock.method(console, name, (...words) => written.push([name, words]));
    const logger = new Logger(level);
    for (const name of LEVELS) logger[name](`a ${name}`);
    assert.deepEqual(
      written,
      expected.map((name) => [name, ["[hotsock]", `a ${name}`]]),
    );
  });
}

const LOGS = [
  ["info", "connected"],
  ["debug", "received hotsock.connected"],
  ["debug", "received chat c"],
  ["warn", "INVALID_FRAME"],
  ["error", "CALLBACK_FAILED"],
  ["error", "Error: broken"],
  ["info", "disconnected 1012 restarting"],
];

for (const [level, text] of LOGS) {
  test(`the client logs "${text}" at ${level}`, async (t) => {
    fakeWorld(t);
    const lines = [];
    for (const name of LEVELS) {
      t.mock.method(console, name, (_, ...words) => lines.push([name, words.join(" ")]));
    }
    const client = await connectedClient({ logLevel: "debug" });
    client.bind("chat", () => {
      throw new Error("broken");
    });
    newest().say({ event: "chat", channel: "c" });
    newest().say("no frame");
    newest().end(1012, "restarting");
    const isWanted = ([name, line]) => name === level && ` ${line} `.includes(` ${text}`);
    assert.ok(lines.some(isWanted), JSON.stringify(lines));
  });
}

test("a failed connectTokenFn is logged with what it threw", async (t) => {
  fakeWorld(t);
  const causes = [];
  t.mock.method(console, "warn", (...words) => causes.push(words.at(-1)));
  const cause = new Error("no token");
  const connectTokenFn = () => Promise.reject(cause);
  makeClient({ logLevel: "warn", connectTokenFn, connectTokenFnMaxAttempts: 1 });
  await settle();
  assert.deepEqual(causes, [cause]);
});

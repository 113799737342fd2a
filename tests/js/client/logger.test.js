import assert from "node:assert/strict";
import { test } from "node:test";
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

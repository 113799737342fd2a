import assert from "node:assert/strict";
import { test } from "node:test";
import { PHASES } from "../../../static/chat/demo/model/words.js";

for (const [phase, word] of Object.entries(PHASES)) {
  test(`${phase} is told in one word`, () => assert.match(word, /^[A-Z][a-z]+$/));
}

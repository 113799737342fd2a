import assert from "node:assert/strict";
import { test } from "node:test";
import { isEmojiOnly } from "../../../static/chat/demo/model/emoji.js";

const FAMILY = "👩‍👩‍👧‍👦";
const ENGLAND = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";

for (const text of ["👍", "❤️", "👍🏽", FAMILY, `${FAMILY} 🏳️‍🌈 ❤️`, "🇩🇪", ENGLAND, "1️⃣", "⌚", "👍".repeat(6)]) {
  test(`${text} is emoji only`, () => assert.equal(isEmojiOnly(text), true));
}

for (const text of ["", " ", "1", "™", "❤", "👍!", "ok 👍", "👍".repeat(7), "👍\n👍"]) {
  test(`${JSON.stringify(text)} is a text`, () => assert.equal(isEmojiOnly(text), false));
}

test("a hostile text is read once", () => {
  for (const part of ["👩‍", "🇩", "👍\uFE0F", "👍🏽 ", "1\uFE0F\u20E3"]) {
    assert.equal(isEmojiOnly(part.repeat(200)), false);
    assert.equal(isEmojiOnly(`${part.repeat(30)}x`), false);
  }
});

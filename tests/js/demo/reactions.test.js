import assert from "node:assert/strict";
import { test } from "node:test";
import { ReactionWishes, activeOf } from "../../../static/chat/demo/model/reactions.js";
import { idOf } from "./harness.js";

const entryWith = (table) => ({
  id: idOf(1),
  reactions: new Map(Object.entries(table).map(([reaction, uids]) => [reaction, new Set(uids)])),
});

const words = (frames) => frames.map(({ action, reaction }) => `${action} ${reaction}`);

const CHOICES = [
  ["the first one", {}, "👍", ["add 👍"]],
  ["the same again takes it back", { "👍": ["jim", "pam"] }, "👍", ["remove 👍"]],
  ["another: the old one goes first", { "👍": ["jim"] }, "❤️", ["remove 👍", "add ❤️"]],
  ["others' reactions do not count", { "👍": ["pam"] }, "❤️", ["add ❤️"]],
  ["two from elsewhere: both go", { "👍": ["jim"], "👎": ["jim"] }, "😂", ["remove 👍", "remove 👎", "add 😂"]],
];

for (const [what, table, reaction, expected] of CHOICES) {
  test(`choosing ${what}`, () => {
    const frames = new ReactionWishes().choose(entryWith(table), "jim", reaction);
    assert.deepEqual(words(frames), expected);
    assert.ok(frames.every(({ messageId }) => messageId === idOf(1)));
  });
}

test("quick clicks count from the wish, not from what has come back so far", () => {
  const wishes = new ReactionWishes();
  const entry = entryWith({});
  assert.deepEqual(words(wishes.choose(entry, "jim", "👍")), ["add 👍"]);
  assert.deepEqual(words(wishes.choose(entry, "jim", "❤️")), ["remove 👍", "add ❤️"]);
  assert.deepEqual(words(wishes.choose(entry, "jim", "❤️")), ["remove ❤️"]);
});

test("a wish that has come true is forgotten: then what is shown counts", () => {
  const wishes = new ReactionWishes();
  wishes.choose(entryWith({}), "jim", "👍");
  wishes.settle(entryWith({ "👍": ["jim"] }), "jim");
  assert.deepEqual(words(wishes.choose(entryWith({}), "jim", "👍")), ["add 👍"]);
});

test("a wish that has not come true stands", () => {
  const wishes = new ReactionWishes();
  wishes.choose(entryWith({}), "jim", "👍");
  wishes.settle(entryWith({ "❤️": ["jim"] }), "jim");
  assert.deepEqual(words(wishes.choose(entryWith({}), "jim", "👍")), ["remove 👍"]);
});

test("after a refusal what is shown counts", () => {
  const wishes = new ReactionWishes();
  wishes.choose(entryWith({}), "jim", "👍");
  wishes.clear();
  assert.deepEqual(words(wishes.choose(entryWith({}), "jim", "👍")), ["add 👍"]);
});

test("active are a person's own", () => {
  const entry = entryWith({ "👍": ["jim", "pam"], "❤️": ["pam"] });
  assert.deepEqual([...activeOf(entry, "jim")], ["👍"]);
});

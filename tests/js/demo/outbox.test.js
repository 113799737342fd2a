import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../../static/chat/demo/model/outbox.js";
import { idOf } from "./harness.js";

const states = ({ items }) => items.map(({ text, state }) => `${state} ${text}`);

function outboxOf(...texts) {
  const outbox = new Outbox();
  for (const text of texts) outbox.add(text);
  return outbox;
}

function sentOutbox(...texts) {
  const outbox = outboxOf(...texts);
  outbox.sent(outbox.next(), idOf(10));
  return outbox;
}

test("messages go out one at a time, in order", () => {
  const outbox = outboxOf("a", "b");
  assert.equal(outbox.next().text, "a");
  outbox.sent(outbox.next(), "");
  assert.equal(outbox.next(), undefined);
  assert.equal(outbox.confirm({ id: idOf(1), text: "a" }), true);
  assert.equal(outbox.next().text, "b");
});

const ECHOES = [
  ["its echo", { id: idOf(11), text: "a" }, true],
  ["the same text from before it was sent", { id: idOf(10), text: "a" }, false],
  ["another text", { id: idOf(11), text: "A" }, false],
];

for (const [what, entry, expected] of ECHOES) {
  test(`${what} ${expected ? "confirms" : "does not confirm"} it`, () => {
    const outbox = sentOutbox("a");
    assert.equal(outbox.confirm(entry), expected);
    assert.deepEqual(states(outbox), expected ? [] : ["sent a"]);
  });
}

test("nothing that has not been on the wire is confirmed", () => {
  const outbox = outboxOf("a");
  assert.equal(outbox.confirm({ id: idOf(1), text: "a" }), false);
  outbox.sent(outbox.next(), "");
  outbox.refuse("no");
  assert.equal(outbox.confirm({ id: idOf(1), text: "a" }), false);
  assert.deepEqual(states(outbox), ["failed a"]);
});

test("a refused message stays, with the reason, and holds up no other", () => {
  const outbox = sentOutbox("a", "b");
  outbox.refuse("too long");
  assert.deepEqual(outbox.items.map(({ state, reason }) => [state, reason]), [
    ["failed", "too long"],
    ["queued", undefined],
  ]);
  assert.equal(outbox.next().text, "b");
});

test("a postponed message goes out again, before those behind it", () => {
  const outbox = sentOutbox("a", "b");
  outbox.postpone();
  assert.deepEqual(states(outbox), ["queued a", "queued b"]);
  assert.equal(outbox.next().text, "a");
});

test("whoever sends again sends a new message, at the end", () => {
  const outbox = sentOutbox("a", "b");
  outbox.refuse("no");
  outbox.again(outbox.items[0].key);
  assert.deepEqual(states(outbox), ["queued b", "queued a"]);
});

test("a message can be dropped for good", () => {
  const outbox = sentOutbox("a", "b");
  outbox.refuse("no");
  outbox.drop(outbox.items[0].key);
  assert.deepEqual(states(outbox), ["queued b"]);
});

test("after a lost connection the message on the wire is unsure and holds up the others", () => {
  const outbox = sentOutbox("a", "b");
  outbox.interrupt();
  assert.deepEqual(states(outbox), ["unsure a", "queued b"]);
  assert.equal(outbox.next(), undefined);
});

test("history that has it settles it", () => {
  const outbox = sentOutbox("a", "b");
  outbox.interrupt();
  assert.equal(outbox.confirm({ id: idOf(12), text: "a" }), true);
  assert.equal(outbox.next().text, "b");
});

test("history that does not have it lets it go out again", () => {
  const outbox = sentOutbox("a", "b");
  outbox.interrupt();
  outbox.requeue();
  assert.deepEqual(states(outbox), ["queued a", "queued b"]);
});

test("a message that was given up is confirmed all the same when it turns up", () => {
  const outbox = sentOutbox("a");
  outbox.interrupt();
  outbox.giveUp("who knows");
  assert.deepEqual(states(outbox), ["failed a"]);
  assert.equal(outbox.confirm({ id: idOf(12), text: "a" }), true);
  assert.deepEqual(states(outbox), []);
});

test("an echo is that of the message on the wire, not of one given up with the same text", () => {
  const outbox = sentOutbox("a");
  outbox.interrupt();
  outbox.giveUp("who knows");
  outbox.add("a");
  outbox.sent(outbox.next(), idOf(20));
  outbox.confirm({ id: idOf(21), text: "a" });
  assert.deepEqual(states(outbox), ["failed a"]);
});

test("each change is saved, and what was on the wire is unsure when it is read again", () => {
  let saved;
  const outbox = new Outbox([], (items) => (saved = structuredClone(items)));
  outbox.add("a");
  outbox.add("b");
  outbox.add("c");
  outbox.sent(outbox.next(), idOf(1));
  outbox.refuse("no");
  outbox.sent(outbox.next(), idOf(2));
  const again = new Outbox(saved);
  assert.deepEqual(states(again), ["failed a", "unsure b", "queued c"]);
  assert.equal(again.confirm({ id: idOf(3), text: "b" }), true);
});

test("what another page has, too, does not go out by itself, and is confirmed when it turns up", () => {
  const outbox = new Outbox();
  outbox.add("a", idOf(5));
  outbox.add("b");
  outbox.disown("elsewhere");
  assert.deepEqual(states(outbox), ["failed a", "failed b"]);
  assert.equal(outbox.next(), undefined);
  assert.equal(outbox.confirm({ id: idOf(4), text: "a" }), false); // said before
  assert.equal(outbox.confirm({ id: idOf(4), text: "b" }), false); // perhaps said before
  assert.equal(outbox.confirm({ id: idOf(6), text: "a" }), true);
  assert.deepEqual(states(outbox), ["failed b"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../../static/chat/demo/model/outbox.js";
import { idOf } from "./harness.js";

const AGAIN_FOR = 540_000;

const states = ({ items }) => items.map(({ text, state }) => `${state} ${text}`);

/** With each text sent; `clock.now` is the time. */
function sentOutbox(...texts) {
  const clock = { now: 1_000_000 };
  const outbox = new Outbox([], () => {}, () => clock.now);
  for (const text of texts) outbox.add(text, idOf(10));
  for (const item of outbox.items) outbox.sent(item);
  return { outbox, clock, items: outbox.items };
}

test("messages go out in order, each with an ack of its own", () => {
  const outbox = new Outbox();
  for (const text of ["a", "b"]) outbox.add(text);
  assert.equal(outbox.next().text, "a");
  outbox.sent(outbox.next());
  assert.equal(outbox.next().text, "b");
  outbox.sent(outbox.next());
  assert.equal(outbox.next(), undefined);
  const [a, b] = outbox.items;
  assert.match(a.ack, /^[0-9a-f]{32}$/);
  assert.notEqual(a.ack, b.ack);
});

const ECHOES = [
  ["its echo", { id: idOf(11), text: "a" }, true],
  ["the same text from before it was written", { id: idOf(10), text: "a" }, false],
  ["another text", { id: idOf(11), text: "A" }, false],
];

for (const [what, entry, expected] of ECHOES) {
  test(`${what} ${expected ? "takes its place" : "does not take its place"}`, () => {
    const { outbox, items } = sentOutbox("a");
    assert.equal(outbox.confirm(entry), expected ? items[0] : undefined);
    assert.deepEqual(states(outbox), expected ? [] : ["sent a"]);
  });
}

test("each echo is one message's, also where several have one text", () => {
  const { outbox, items } = sentOutbox("a", "a");
  for (const item of items) assert.equal(outbox.confirm({ id: idOf(11), text: "a" }), item);
  assert.equal(outbox.confirm({ id: idOf(13), text: "a" }), undefined);
});

test("after its echo the answer drops it", () => {
  const { outbox, items } = sentOutbox("a");
  outbox.confirm({ id: idOf(11), text: "a" });
  assert.equal(outbox.has(items[0]), true);
  outbox.stored(items[0], idOf(11), false);
  assert.equal(outbox.has(items[0]), false);
});

test("a message taken for its echo wrongly, and refused, is shown again", () => {
  const { outbox, items } = sentOutbox("a");
  outbox.confirm({ id: idOf(11), text: "a" });
  outbox.fail(items[0], "too long", "who knows");
  assert.deepEqual(states(outbox), ["failed a"]);
});

test("where the answer comes first, it stays until its message is here", () => {
  const { outbox, items } = sentOutbox("a", "a");
  outbox.stored(items[1], idOf(12), false);
  assert.deepEqual(states(outbox), ["sent a", "sent a"]);
  assert.equal(outbox.confirm({ id: idOf(12), text: "a" }), items[1]);
  assert.deepEqual([states(outbox), outbox.has(items[1])], [["sent a"], false]);
});

test("where the answer names a message that is known, it is dropped", () => {
  const { outbox, items } = sentOutbox("a");
  outbox.stored(items[0], idOf(9), true);
  assert.deepEqual(states(outbox), []);
});

test("a refused message stays, with the reason, and no message is taken for it", () => {
  const { outbox, items } = sentOutbox("a");
  outbox.fail(items[0], "too long", "who knows");
  assert.equal(outbox.items[0].reason, "too long");
  assert.equal(outbox.confirm({ id: idOf(11), text: "a" }), undefined);
});

test("what was never sent goes out again in its place", () => {
  const { outbox, items } = sentOutbox("a", "b");
  outbox.requeue(items[0]);
  assert.deepEqual([states(outbox), outbox.next()], [["queued a", "sent b"], items[0]]);
});

const AGES = [
  [AGAIN_FOR - 1, "goes out again, as the same one", "queued"],
  [AGAIN_FOR, "is left to its writer", "failed"],
];

for (const [age, what, state] of AGES) {
  test(`${age} ms after the first try, one that may have arrived ${what}`, () => {
    const { outbox, clock, items } = sentOutbox("a");
    const { ack } = items[0];
    clock.now += age;
    outbox.doubt(items[0], "who knows");
    assert.deepEqual([states(outbox), items[0].ack], [[`${state} a`], ack]);
  });
}

test("refused after a try that may have arrived, nobody knows; one that turns up is it", () => {
  const { outbox, items } = sentOutbox("a");
  outbox.doubt(items[0], "who knows");
  outbox.sent(items[0]);
  outbox.fail(items[0], "not allowed", "who knows");
  assert.deepEqual([states(outbox), items[0].reason], [["failed a"], "who knows"]);
  assert.equal(outbox.confirm({ id: idOf(11), text: "a" }), items[0]);
  assert.deepEqual(states(outbox), []);
});

test("the first try counts, however often it goes out", () => {
  const { outbox, clock, items } = sentOutbox("a");
  for (const age of [AGAIN_FOR - 1, 1]) {
    clock.now += age;
    outbox.doubt(items[0], "who knows");
    outbox.sent(items[0]);
  }
  outbox.doubt(items[0], "who knows");
  assert.deepEqual(states(outbox), ["failed a"]);
});

for (const [age, isInDoubt] of [[1000, true], [AGAIN_FOR, undefined]]) {
  test(`sent again by its writer after ${age} ms, it goes to the end with its ack`, () => {
    const { outbox, clock, items } = sentOutbox("a", "b");
    outbox.doubt(items[0], "who knows");
    outbox.fail(items[0], "", "who knows");
    clock.now += age;
    outbox.again(items[0].key, idOf(20));
    const { text, ack, since, isInDoubt: doubt } = outbox.items[1];
    assert.deepEqual([text, ack, since, doubt], ["a", items[0].ack, idOf(20), isInDoubt]);
  });
}

test("a message can be dropped for good", () => {
  const { outbox, items } = sentOutbox("a", "b");
  outbox.fail(items[0], "no");
  outbox.drop(items[0].key);
  assert.deepEqual(states(outbox), ["sent b"]);
});

test("each change is saved; what was sent and not seen is in doubt when it is read again", () => {
  let saved;
  const outbox = new Outbox([], (items) => (saved = structuredClone(items)));
  for (const text of ["a", "b", "c", "d"]) outbox.add(text);
  for (const item of outbox.items.slice(0, 3)) outbox.sent(item);
  outbox.fail(outbox.items[0], "no");
  outbox.confirm({ id: idOf(1), text: "b" });
  const again = new Outbox(saved);
  again.doubtAll("who knows");
  assert.deepEqual(states(again), ["failed a", "queued c", "queued d"]);
  assert.deepEqual(again.items.map(({ isInDoubt }) => isInDoubt), [undefined, true, undefined]);
  assert.equal(again.items[1].ack, saved[2].ack);
});

test("what another page has, too, does not go out by itself, and is confirmed when it turns up", () => {
  const outbox = new Outbox();
  outbox.add("a", idOf(5));
  outbox.add("b");
  outbox.disown("elsewhere");
  assert.deepEqual([states(outbox), outbox.items[0].reason], [["failed a", "failed b"], "elsewhere"]);
  assert.equal(outbox.next(), undefined);
  assert.equal(outbox.confirm({ id: idOf(4), text: "a" }), undefined); // said before
  assert.equal(outbox.confirm({ id: idOf(4), text: "b" }), undefined); // perhaps said before
  assert.equal(outbox.confirm({ id: idOf(6), text: "a" }).text, "a");
  assert.deepEqual(states(outbox), ["failed b"]);
});

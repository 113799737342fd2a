import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST, Timeline } from "../../../static/chat/demo/model/timeline.js";
import { chat, idOf, plain, reacted, reactionsOf } from "./harness.js";

const ids = (timeline) => timeline.entries.map(({ id }) => id);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const chats = (from, to) => range(from, to).map((n) => chat(n));

const react = (timeline, { data, meta }) => timeline.react(data, meta.uid);

/** Holds these, as a page that reached neither end. */
function holding(from, to) {
  const timeline = new Timeline();
  timeline.replace(chats(from, to), true, true);
  return timeline;
}

test("live messages follow what is here, each once, in the order of ids", () => {
  const timeline = new Timeline();
  for (const n of [1, 2, 4, 3, 4]) timeline.addLive(chat(n));
  assert.deepEqual(ids(timeline), [1, 2, 3, 4].map(idOf));
});

test("an entry has the sender, the text and who reacted", () => {
  const timeline = new Timeline();
  timeline.replace([chat(1, { data: "hi", reactions: reactionsOf({ "👍": ["jim", "pam"] }) })]);
  const [{ uid, text, reactions }] = timeline.entries;
  assert.deepEqual([uid, text, plain(reactions)], ["pam", "hi", { "👍": ["jim", "pam"] }]);
});

test("a message of the server's own, or with other data than text, is shown too", () => {
  const timeline = new Timeline();
  timeline.replace([
    chat(1, { meta: undefined }),
    chat(2, { data: { a: [1] } }),
    chat(3, { data: null }),
  ]);
  assert.deepEqual(
    timeline.entries.map(({ uid, text }) => [uid, text]),
    [[null, "message 1"], ["pam", '{"a":[1]}'], ["pam", "null"]],
  );
});

test("a live reaction changes its message, the same again nothing", () => {
  const timeline = new Timeline();
  timeline.addLive(chat(1));
  const shown = () => plain(timeline.get(idOf(1)).reactions);
  assert.equal(react(timeline, reacted(1, "jim", "👍")), timeline.get(idOf(1)));
  assert.equal(react(timeline, reacted(1, "jim", "👍")), undefined);
  assert.deepEqual(shown(), { "👍": ["jim"] });
  assert.equal(react(timeline, reacted(1, "jim", "👍", "remove")), timeline.get(idOf(1)));
  assert.equal(react(timeline, reacted(1, "jim", "👍", "remove")), undefined);
  assert.deepEqual(shown(), {});
});

test("a deleted message goes, and does not come back with a page that was on its way", () => {
  const timeline = holding(5, 7);
  timeline.beginReading();
  for (const n of [3, 6]) timeline.remove(idOf(n));
  timeline.addOlder(chats(2, 4), true);
  assert.deepEqual(ids(timeline), [2, 4, 5, 7].map(idOf));
});

test("at the end the oldest make room for what is new, and can be read again", () => {
  const timeline = new Timeline();
  timeline.replace(chats(1, MOST), false, false);
  timeline.addLive(chat(MOST + 1));
  assert.deepEqual([timeline.firstId, timeline.lastId], [idOf(2), idOf(MOST + 1)]);
  assert.equal(timeline.hasOlder, true);
});

test("room is made before it is needed, and only at the end", () => {
  const timeline = new Timeline();
  timeline.replace(chats(1, MOST - 1), false, false);
  assert.equal(timeline.makeRoom(), false);
  timeline.addLive(chat(MOST));
  timeline.followsEnd = false;
  assert.equal(timeline.makeRoom(), false);
  timeline.followsEnd = true;
  assert.equal(timeline.makeRoom(), true);
  assert.deepEqual([timeline.firstId, timeline.hasOlder], [idOf(51), true]);
});

test("away from the end nothing moves: what is new stays out, and can be read later", () => {
  const timeline = new Timeline();
  timeline.replace(chats(1, MOST), false, false);
  timeline.followsEnd = false;
  timeline.addLive(chat(MOST + 1));
  timeline.addLive(chat(MOST + 2));
  assert.deepEqual([timeline.firstId, timeline.lastId], [idOf(1), idOf(MOST)]);
  assert.equal(timeline.hasNewer, true);
});

test("older messages push out the newest, newer ones the oldest", () => {
  const timeline = holding(101, 100 + MOST);
  timeline.addOlder(chats(51, 100), true);
  assert.deepEqual([timeline.firstId, timeline.lastId], [idOf(51), idOf(50 + MOST)]);
  timeline.addNewer(chats(51 + MOST, 100 + MOST), true);
  assert.deepEqual([timeline.firstId, timeline.lastId], [idOf(101), idOf(100 + MOST)]);
  assert.deepEqual([timeline.hasOlder, timeline.hasNewer], [true, true]);
});

test("a page that reaches the end is followed by what came while it was on its way", () => {
  const timeline = holding(1, 10);
  timeline.beginReading();
  for (const n of [12, 13]) timeline.addLive(chat(n));
  assert.equal(timeline.lastId, idOf(10));
  timeline.addNewer(chats(11, 12), false);
  timeline.endReading();
  timeline.addLive(chat(14));
  assert.deepEqual(ids(timeline), range(1, 14).map(idOf));
});

test("where more came meanwhile than there is room for, there is still more to be read", () => {
  const timeline = holding(1, 10);
  timeline.beginReading();
  for (const n of range(12, 12 + MOST)) timeline.addLive(chat(n));
  timeline.addNewer([chat(11)], false);
  assert.deepEqual([timeline.lastId, timeline.hasNewer], [idOf(11), true]);
});

// Every interleaving. The server does the steps in this order; a page of the messages before the
// one that is held shows what is true after the first `read` of them; the steps after the first
// `from` come live, and `seen` of these before the page arrives. In the end all must be true.
const STORIES = {
  "a reaction": [reacted(1, "pam", "👍")],
  "a reaction taken back": [reacted(1, "pam", "👍"), reacted(1, "pam", "👍", "remove")],
  "taken back and given again": [
    reacted(1, "pam", "👍"),
    reacted(1, "pam", "👍", "remove"),
    reacted(1, "pam", "👍"),
  ],
  "two people, changing their minds": [
    reacted(1, "pam", "👍"),
    reacted(1, "jim", "👍"),
    reacted(1, "pam", "👍", "remove"),
    reacted(1, "pam", "❤️"),
    reacted(2, "jim", "😂"),
    reacted(1, "jim", "👍", "remove"),
  ],
};

/** What the server would answer after these steps. */
function pageAfter(steps) {
  const bits = new Map([1, 2].map((n) => [idOf(n), new Map()]));
  for (const { data, meta } of steps) toggle(bits.get(data.messageId), data, meta.uid);
  return [1, 2].map((n) =>
    chat(n, { reactions: reactionsOf(Object.fromEntries(bits.get(idOf(n)))) }),
  );
}

function toggle(bits, { reaction, action }, uid) {
  const uids = new Set(bits.get(reaction));
  if (action === "add") uids.add(uid);
  else uids.delete(uid);
  if (uids.size) bits.set(reaction, uids);
  else bits.delete(reaction);
}

function* interleavings(length) {
  for (let from = 0; from <= length; from += 1) {
    for (let read = from; read <= length; read += 1) {
      for (let seen = 0; seen <= length - from; seen += 1) yield { from, read, seen };
    }
  }
}

const shown = (timeline) => timeline.entries.map(({ id, reactions }) => [id, plain(reactions)]);

for (const [what, steps] of Object.entries(STORIES)) {
  test(`${what}: right in the end, however page and live events interleave`, () => {
    const truth = holding(3, 3);
    truth.addOlder(pageAfter(steps), true);
    for (const { from, read, seen } of interleavings(steps.length)) {
      const timeline = holding(3, 3);
      for (const step of steps.slice(0, from)) react(timeline, step);
      timeline.beginReading();
      for (const step of steps.slice(from, from + seen)) react(timeline, step);
      timeline.addOlder(pageAfter(steps.slice(0, read)), true);
      timeline.endReading();
      for (const step of steps.slice(from + seen)) react(timeline, step);
      assert.deepEqual(shown(timeline), shown(truth), JSON.stringify({ from, read, seen }));
    }
  });
}

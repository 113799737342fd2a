import assert from "node:assert/strict";
import { test } from "node:test";
import { Timeline } from "../../../static/chat/demo/model/timeline.js";
import { chat, idOf, plain, reacted, reactionsOf } from "./harness.js";

const ids = (timeline) => timeline.entries.map(({ id }) => id);

const react = (timeline, { data, meta }) => timeline.react(data, meta.uid);

test("live messages and pages come together in the order of ids, each once", () => {
  const timeline = new Timeline();
  timeline.beginReading();
  timeline.addLive(chat(5));
  timeline.addPage([chat(1), chat(2)]);
  timeline.addLive(chat(6));
  timeline.addPage([chat(3), chat(4), chat(5)]);
  timeline.addLive(chat(5));
  assert.deepEqual(ids(timeline), [1, 2, 3, 4, 5, 6].map(idOf));
  assert.equal(timeline.lastId, idOf(6));
});

test("only what is new is told as added", () => {
  const timeline = new Timeline();
  assert.equal(timeline.addLive(chat(1)).id, idOf(1));
  assert.equal(timeline.addLive(chat(1)), undefined);
  const { added, changed } = timeline.addPage([chat(1), chat(2)]);
  assert.deepEqual([added.map(({ id }) => id), changed], [[idOf(2)], []]);
});

test("an entry has the sender, the text and who reacted", () => {
  const timeline = new Timeline();
  timeline.addPage([chat(1, { data: "hi", reactions: reactionsOf({ "👍": ["jim", "pam"] }) })]);
  const [{ uid, text, reactions }] = timeline.entries;
  assert.deepEqual([uid, text, plain(reactions)], ["pam", "hi", { "👍": ["jim", "pam"] }]);
});

test("a message of the server's own, or with other data than text, is shown too", () => {
  const timeline = new Timeline();
  timeline.addPage([chat(1, { meta: undefined }), chat(2, { data: { a: [1] } }), chat(3, { data: null })]);
  assert.deepEqual(
    timeline.entries.map(({ uid, text }) => [uid, text]),
    [[null, "message 1"], ["pam", '{"a":[1]}'], ["pam", "null"]],
  );
});

test("a live reaction changes its message, the same again nothing", () => {
  const timeline = new Timeline();
  const entry = timeline.addLive(chat(1));
  assert.equal(react(timeline, reacted(1, "jim", "👍")), entry);
  assert.equal(react(timeline, reacted(1, "jim", "👍")), undefined);
  assert.deepEqual(plain(entry.reactions), { "👍": ["jim"] });
  assert.equal(react(timeline, reacted(1, "jim", "👍", "remove")), entry);
  assert.equal(react(timeline, reacted(1, "jim", "👍", "remove")), undefined);
  assert.deepEqual(plain(entry.reactions), {});
});

test("a page that is read again tells the messages whose reactions have changed", () => {
  const timeline = new Timeline();
  timeline.addPage([chat(1, { reactions: reactionsOf({ "👍": ["pam"] }) }), chat(2)]);
  timeline.beginReading();
  const { changed } = timeline.addPage([chat(1, { reactions: {} }), chat(2)]);
  assert.deepEqual(changed.map(({ id, reactions }) => [id, plain(reactions)]), [[idOf(1), {}]]);
});

test("what was live before the reading began does not outrank its pages", () => {
  const timeline = new Timeline();
  timeline.beginReading();
  const entry = timeline.addLive(chat(1));
  react(timeline, reacted(1, "pam", "👍"));
  timeline.endReading();
  timeline.beginReading(); // a new connection: pam took it back while there was none
  timeline.addPage([chat(1, { reactions: {} })]);
  assert.deepEqual(plain(entry.reactions), {});
});

test("nor does what was live during a reading that was cut short", () => {
  const timeline = new Timeline();
  timeline.beginReading();
  timeline.addLive(chat(1));
  react(timeline, reacted(1, "pam", "👍"));
  timeline.beginReading();
  timeline.addPage([chat(1, { reactions: {} })]);
  assert.deepEqual(plain(timeline.get(idOf(1)).reactions), {});
});

// Every interleaving. The server does the steps in this order; a page shows what is true after the
// first `read` of them; the steps after the first `from` come live, and `seen` of these before the
// page arrives. In the end the window must show what is true on the server.
const STORIES = {
  "a reaction to a message": [chat(1), reacted(1, "pam", "👍")],
  "a reaction taken back": [chat(1), reacted(1, "pam", "👍"), reacted(1, "pam", "👍", "remove")],
  "taken back and given again": [
    chat(1),
    reacted(1, "pam", "👍"),
    reacted(1, "pam", "👍", "remove"),
    reacted(1, "pam", "👍"),
  ],
  "two people, changing their minds": [
    chat(1),
    reacted(1, "pam", "👍"),
    chat(2),
    reacted(1, "jim", "👍"),
    reacted(1, "pam", "👍", "remove"),
    reacted(1, "pam", "❤️"),
    reacted(2, "jim", "😂"),
    reacted(1, "jim", "👍", "remove"),
  ],
};

/** What the server would answer after these steps. */
function historyAfter(steps) {
  const stored = new Map();
  for (const step of steps) {
    if (step.event === "chat") stored.set(step.id, { message: step, bits: new Map() });
    else toggle(stored.get(step.data.messageId).bits, step.data, step.meta.uid);
  }
  return [...stored.values()].map(({ message, bits }) =>
    Object.assign(structuredClone(message), { reactions: reactionsOf(Object.fromEntries(bits)) }),
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

const live = (timeline) => (step) =>
  step.event === "chat" ? timeline.addLive(step) : react(timeline, step);

const shown = (timeline) =>
  timeline.entries.map(({ id, text, reactions }) => [id, text, plain(reactions)]);

function truth(steps) {
  const timeline = new Timeline();
  timeline.addPage(historyAfter(steps));
  return shown(timeline);
}

for (const [what, steps] of Object.entries(STORIES)) {
  test(`${what}: right in the end, however page and live events interleave`, () => {
    for (const { from, read, seen } of interleavings(steps.length)) {
      const timeline = new Timeline();
      timeline.beginReading();
      steps.slice(from, from + seen).forEach(live(timeline));
      timeline.addPage(historyAfter(steps.slice(0, read)));
      steps.slice(from + seen).forEach(live(timeline));
      timeline.endReading();
      assert.deepEqual(shown(timeline), truth(steps), JSON.stringify({ from, read, seen }));
    }
  });

  test(`${what}: right also after a second reading on a new connection`, () => {
    for (const { from, read, seen } of interleavings(steps.length)) {
      const timeline = new Timeline();
      // An earlier connection, which heard all until it broke after `from` steps or before.
      timeline.beginReading();
      steps.slice(0, Math.min(from, 2)).forEach(live(timeline));
      timeline.endReading();
      timeline.beginReading();
      steps.slice(from, from + seen).forEach(live(timeline));
      timeline.addPage(historyAfter(steps.slice(0, read)));
      steps.slice(from + seen).forEach(live(timeline));
      timeline.endReading();
      assert.deepEqual(shown(timeline), truth(steps), JSON.stringify({ from, read, seen }));
    }
  });
}

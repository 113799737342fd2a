import assert from "node:assert/strict";
import { test } from "node:test";
import { Inside, isTrial } from "../../../static/chat/demo/model/inside.js";
import { fakeWorld, makeClient, newest, settle, sockets } from "../client/harness.js";
import { CHANNEL } from "./harness.js";

async function look(t, token = async () => "token") {
  fakeWorld(t);
  const inside = new Inside();
  const client = inside.watch(makeClient({ connectTokenFn: token }));
  t.after(() => client.terminate());
  await settle();
  return { inside, client };
}

const kinds = ({ entries }) => entries.map(({ kind }) => kind);
const bytes = ({ entries }) => entries.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);

test("it keeps what a client sends and receives, in order, with its size in bytes", async (t) => {
  const { inside, client } = await look(t);
  newest().connect();
  client.sendRawMessage('"é"');
  newest().end(1012, "restart");
  assert.deepEqual(kinds(inside), ["opened", "in", "out", "closed"]);
  const [, , sent, closed] = inside.entries;
  assert.deepEqual([sent.text, sent.size, closed.text], ['"é"', 4, "1012 restart"]);
});

test("it keeps the newest 500 entries", async (t) => {
  const { inside } = await look(t);
  newest().connect();
  for (let n = 1; n <= 600; n += 1) newest().say({ event: "chat", channel: CHANNEL, data: n });
  assert.equal(inside.entries.length, 500);
  assert.equal(JSON.parse(inside.entries.at(-1).text).data, 600);
  assert.equal(inside.entries.at(-1).number - inside.entries[0].number, 499);
});

test("it keeps 256 KiB at most, and of one frame 64 Ki characters", async (t) => {
  const { inside } = await look(t);
  newest().connect();
  for (const size of [60_000, 60_000, 60_000, 60_000, 60_000, 400_000]) {
    newest().say(JSON.stringify({ event: "chat", channel: CHANNEL, data: "é".repeat(size) }));
    assert.ok(bytes(inside) <= 256 * 1024);
  }
  const { text, size } = inside.entries.at(-1);
  assert.equal(text.length, 64 * 1024);
  assert.ok(size > 800_000);
});

test("offline stays offline, also for a client that comes later", async (t) => {
  const { inside, client } = await look(t);
  newest().connect();
  let told = 0;
  inside.addEventListener("switched", () => (told += 1));
  inside.setOffline(true);
  assert.deepEqual([client.state, inside.isLive, told], ["suspended", false, 1]);
  const later = inside.watch(makeClient());
  t.after(() => later.terminate());
  await settle();
  assert.deepEqual([later.state, sockets.length], ["suspended", 1]);
  inside.setOffline(false);
  await settle();
  newest().connect();
  assert.deepEqual([later.state, inside.isLive, told], ["connected", true, 2]);
});

test("a trial carries an ack by which its answer is known", async (t) => {
  const { inside } = await look(t);
  newest().connect();
  const ack = inside.try({ event: "announcement", channel: CHANNEL });
  assert.deepEqual(newest().frames.at(-1), { event: "announcement", channel: CHANNEL, ack });
  assert.match(ack, /^[A-Za-z0-9_-]{16,64}$/);
  assert.ok(isTrial(ack));
  assert.ok(!isTrial("0".repeat(32)));
});

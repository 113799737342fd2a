import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../../static/chat/demo/model/api.js";
import { Opening } from "../../../static/chat/demo/model/opening.js";
import { fakeWorld, pass, settle } from "../client/harness.js";

const OPEN = { sessionId: "s", channel: "chat-s", token: "t" };

/** An opening that asks for a session; the server answers with `world.status`. */
async function ask(t, { wanted } = {}) {
  fakeWorld(t, { random: 1 });
  const world = { status: 503, asked: [], told: [], result: undefined };
  const fetch = async (_url, { body }) => {
    world.asked.push(JSON.parse(body).sessionId);
    return new Response(JSON.stringify(OPEN), { status: world.status });
  };
  const opening = new Opening(new Api("https://chat.test/", fetch));
  t.after(() => opening.stop());
  const asking = opening.ask(wanted, (words) => world.told.push(words));
  asking.then((result) => (world.result = result));
  await settle();
  return { opening, world };
}

test("a failing server is asked again, after longer and longer pauses, until it answers", async (t) => {
  const { world } = await ask(t, { wanted: "s" });
  assert.deepEqual(world.told, ["The server is busy."]);
  for (const [count, pause] of [1000, 2000, 4000].entries()) {
    await pass(pause - 1);
    assert.equal(world.asked.length, count + 1);
    await pass(1);
    assert.equal(world.asked.length, count + 2);
  }
  world.status = 200;
  await pass(8000);
  const { id, channel } = world.result;
  assert.deepEqual([id, channel], ["s", "chat-s"]);
  assert.deepEqual(world.asked, ["s", "s", "s", "s", "s"]);
  await pass(60_000);
  assert.equal(world.asked.length, 5);
});

test("Try again does not wait for the next try", async (t) => {
  const { opening, world } = await ask(t);
  world.status = 200;
  opening.retry();
  await settle();
  assert.equal(world.result.id, "s");
});

/** Window and document in one, as far as wake-ups need them. */
function visiblePage(t) {
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const world = {
    document: page,
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
  };
  Object.assign(globalThis, world);
  t.after(() => Object.keys(world).forEach((name) => delete globalThis[name]));
  return page;
}

for (const type of ["online", "visibilitychange"]) {
  test(`${type} does not wait for the next try, either`, async (t) => {
    const page = visiblePage(t);
    const { world } = await ask(t);
    world.status = 200;
    page.dispatchEvent(new Event(type));
    await settle();
    assert.equal(world.result.id, "s");
    page.dispatchEvent(new Event(type));
    await settle();
    assert.equal(world.asked.length, 2);
  });
}

test("one that is stopped asks no more and gives nothing", async (t) => {
  const { opening, world } = await ask(t);
  opening.stop();
  await pass(60_000);
  assert.deepEqual([world.asked.length, world.result], [1, null]);
});

test("an answer that comes after another was asked for is not given", async (t) => {
  fakeWorld(t);
  const { promise, resolve } = Promise.withResolvers();
  const results = {};
  const api = { session: (id) => (id === "slow" ? promise : Promise.resolve({ id })) };
  const opening = new Opening(api);
  for (const id of ["slow", "quick"]) {
    opening.ask(id, () => {}).then((result) => (results[id] = result));
  }
  resolve({ id: "slow" });
  await settle();
  assert.deepEqual(results, { slow: null, quick: { id: "quick" } });
});

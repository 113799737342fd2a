import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bindTo,
  connectedClient,
  fakeWorld,
  listen,
  makeClient,
  newest,
  ownEvents,
  pass,
  reconnect,
  said,
  settle,
  sockets,
} from "./harness.js";

const SUBSCRIBE = "hotsock.subscribe c";
const UNSUBSCRIBE = "hotsock.unsubscribe c";

test("the first binding of a channel subscribes, those after it do not", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  client.channels("c").bind(/.+/, () => {});
  newest().subscribed("c");
  bindTo(client);
  assert.deepEqual(said(), [SUBSCRIBE]);
});

test("naming a channel and binding without one subscribe to nothing", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.channels("c");
  client.bind("chat", () => {});
  assert.deepEqual(said(), []);
});

test("what is bound before connecting is subscribed once, in order, after it", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  for (const channel of ["c", "d", "c"]) bindTo(client, channel);
  await settle();
  newest().open();
  assert.deepEqual(said(), []);
  newest().connect();
  assert.deepEqual(said(), [SUBSCRIBE, "hotsock.subscribe d"]);
});

test("hotsock.subscribed reaches the channel's bindings, with uid and umd known by then", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const channel = client.channels("c");
  const seen = [];
  const { uid, umd, members, subscribed } = channel;
  assert.deepEqual(
    { uid, umd, members, subscribed },
    { uid: null, umd: null, members: [], subscribed: false },
  );
  channel.bind("hotsock.subscribed", () =>
    seen.push([channel.uid, channel.umd, channel.subscribed]),
  );
  newest().subscribed("c", { uid: "jim", umd: { name: "Jim" } });
  assert.deepEqual(seen, [["jim", { name: "Jim" }, true]]);
});

test("a binding that comes after hotsock.subscribed does not hear it, and can look", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  newest().subscribed("c", { uid: "jim" });
  const late = listen(client, "hotsock.subscribed", { channel: "c" });
  await settle();
  assert.deepEqual(
    [late, client.channels("c").subscribed, client.channels("c").uid],
    [[], true, "jim"],
  );
  await reconnect();
  newest().subscribed("c", { uid: "jim" });
  assert.equal(late.length, 1);
});

test("a binding knows its channel, and there is one object for each name", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  assert.equal(bindTo(client).channel, client.channels("c"));
  assert.equal(client.channels("c").bind("chat", () => {}).channel, client.channels("c"));
  assert.equal(client.channels("c").name, "c");
  assert.notEqual(client.channels("d"), client.channels("c"));
  assert.equal(client.bind("chat", () => {}).channel, null);
  assert.throws(() => client.channels(), TypeError);
});

test("the last unbind unsubscribes, an earlier one does not", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const [first, second] = [bindTo(client), bindTo(client)];
  newest().subscribed("c");
  first.unbind();
  first.unbind();
  assert.deepEqual(said(), [SUBSCRIBE]);
  second.unbind();
  assert.deepEqual(said(), [SUBSCRIBE, UNSUBSCRIBE]);
  newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {}, meta: { uid: "jim" } });
  const { uid, subscribed } = client.channels("c");
  assert.deepEqual([uid, subscribed], [null, false]);
});

test("clearBindings unsubscribes from all that was bound", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  for (const channel of ["c", "d"]) {
    bindTo(client, channel);
    newest().subscribed(channel);
  }
  client.clearBindings();
  client.clearBindings();
  assert.deepEqual(said().slice(2), [UNSUBSCRIBE, "hotsock.unsubscribe d"]);
});

test("unbinding what was never bound leaves a subscription of the token's alone", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const channel = client.channels("c");
  newest().subscribed("c", { data: { autoSubscribed: true } });
  channel.unbind("chat");
  client.clearBindings();
  assert.equal(channel.subscribed, true);
  assert.deepEqual(said(), []);
});

const unsubscribed = () => newest().say({ event: "hotsock.unsubscribed", channel: "c", data: {} });

// Steps: b(ind), u(nbind), s(ubscribed comes), e(nd: unsubscribed comes).
const RACES = [
  ["b", [SUBSCRIBE]],
  ["bu", [SUBSCRIBE]],
  ["bus", [SUBSCRIBE, UNSUBSCRIBE]],
  ["bub", [SUBSCRIBE]],
  ["bubs", [SUBSCRIBE]],
  ["bsu", [SUBSCRIBE, UNSUBSCRIBE]],
  ["bsub", [SUBSCRIBE, UNSUBSCRIBE]],
  ["bsube", [SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE]],
  ["bsubue", [SUBSCRIBE, UNSUBSCRIBE]],
  ["busbe", [SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE]],
  ["bsueb", [SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE]],
];

for (const [steps, expected] of RACES) {
  test(`after the steps ${steps}, the server has got: ${expected.join(", ")}`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    let binding;
    const acts = {
      b: () => (binding = bindTo(client)),
      u: () => binding.unbind(),
      s: () => newest().subscribed("c"),
      e: unsubscribed,
    };
    for (const step of steps) acts[step]();
    assert.deepEqual(said(), expected);
  });
}

test("bound and ended before connecting is never subscribed", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  bindTo(client).unbind();
  await settle();
  newest().connect();
  assert.deepEqual(said(), []);
});

test("after reconnecting, what is bound is subscribed again, and nothing else", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const gone = bindTo(client, "gone");
  bindTo(client, "c");
  bindTo(client, "d");
  for (const channel of ["gone", "c", "d"]) newest().subscribed(channel);
  gone.unbind();
  newest().end();
  assert.equal(client.channels("c").subscribed, false);
  await pass(1);
  newest().connect();
  assert.deepEqual(said(), [SUBSCRIBE, "hotsock.subscribe d"]);
});

test("NOT_SUBSCRIBED subscribes again, once for all messages that it refuses", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  newest().subscribed("c");
  newest().refuse("chat", "c", "NOT_SUBSCRIBED");
  newest().refuse("chat", "c", "NOT_SUBSCRIBED");
  assert.equal(client.channels("c").subscribed, false);
  newest().subscribed("c");
  assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE]);
  assert.equal(client.channels("c").subscribed, true);
});

test("NOT_SUBSCRIBED of a channel that nobody is bound to subscribes to nothing", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.sendMessage("chat", { channel: "c" });
  newest().refuse("chat", "c", "NOT_SUBSCRIBED");
  assert.deepEqual(said(), ["chat c"]);
});

test("NOT_SUBSCRIBED in answer to an unsubscribe ends it; a new bind subscribes", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const binding = bindTo(client);
  newest().subscribed("c");
  binding.unbind();
  newest().refuse("hotsock.unsubscribe", "c", "NOT_SUBSCRIBED");
  bindTo(client);
  assert.deepEqual(said(), [SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE]);
});

test("a refused unsubscribe leaves the subscription usable", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client).unbind();
  newest().subscribed("c");
  newest().refuse("hotsock.unsubscribe", "c", "RATE_LIMITED");
  bindTo(client);
  client.sendMessage("chat", { channel: "c" });
  assert.deepEqual(said(), [SUBSCRIBE, UNSUBSCRIBE, "chat c"]);
});

test("a subscription that ends unasked is made again while something is bound", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  newest().subscribed("c");
  unsubscribed();
  assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE]);
});

test("ALREADY_SUBSCRIBED is as good as subscribed", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  client.sendMessage("chat", { channel: "c" });
  newest().refuse("hotsock.subscribe", "c", "ALREADY_SUBSCRIBED");
  assert.deepEqual([client.channels("c").subscribed, said()], [true, [SUBSCRIBE, "chat c"]]);
});

test("what the token subscribes by itself needs no answer to our own request", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  for (const channel of ["c", "d"]) bindTo(client, channel);
  client.sendMessage("chat", { channel: "c" });
  client.sendMessage("chat", { channel: "d" });
  newest().subscribed("c", { data: { autoSubscribed: true } });
  newest().refuse("hotsock.subscribe", "c", "ALREADY_SUBSCRIBED");
  assert.deepEqual(
    [client.channels("c").subscribed, client.channels("d").subscribed],
    [true, false],
  );
  newest().subscribed("d");
  assert.deepEqual(said().slice(2), ["chat c", "chat d"]);
});

test("who binds after the token has subscribed finds it done", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  newest().subscribed("c", { uid: "jim", data: { autoSubscribed: true } });
  const heard = listen(client, "chat", { channel: "c" });
  client.sendMessage("chat", { channel: "c" });
  newest().say({ event: "chat", channel: "c" });
  const { uid, subscribed } = client.channels("c");
  assert.deepEqual([uid, subscribed, heard.length, said()], ["jim", true, 1, ["chat c"]]);
});

test("unbinding between the token's subscription and our answer ends in no subscription", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const binding = bindTo(client);
  newest().subscribed("c", { data: { autoSubscribed: true } });
  binding.unbind();
  newest().refuse("hotsock.subscribe", "c", "ALREADY_SUBSCRIBED");
  unsubscribed();
  assert.deepEqual([client.channels("c").subscribed, said()], [false, [SUBSCRIBE, UNSUBSCRIBE]]);
});

test("a channel that the application subscribed to by a raw message stays", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "chat");
  client.channels("c");
  client.sendRawMessage('{"event":"hotsock.subscribe","channel":"c"}');
  newest().subscribed("c");
  newest().say({ event: "chat", channel: "c" });
  assert.deepEqual([heard.length, said()], [1, [SUBSCRIBE]]);
});

const REFUSALS = [
  "SUBSCRIBE_PERMISSION_DENIED",
  "INVALID_SUBSCRIBE_TOKEN",
  "INVALID_CHANNEL_NAME",
  "PRESENCE_CHANNEL_USER_ID_REQUIRED",
  "PRESENCE_CHANNEL_CAPACITY_REACHED",
  "constructor",
];

for (const code of REFUSALS) {
  test(`${code} is final, for this connection and these bindings`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    bindTo(client);
    const heard = listen(client, "hotsock.error", { channel: "c" });
    newest().refuse("hotsock.subscribe", "c", code);
    await pass(29_000);
    assert.deepEqual(
      heard.map(({ error }) => error.code),
      [code],
    );
    assert.deepEqual(said(), [SUBSCRIBE]);
    bindTo(client);
    assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE]);
    newest().refuse("hotsock.subscribe", "c", code);
    await reconnect();
    assert.deepEqual(said(), [SUBSCRIBE]);
  });
}

for (const code of ["RATE_LIMITED", "SERVICE_UNAVAILABLE"]) {
  test(`after ${code} the client asks again, each time after a longer wait`, async (t) => {
    fakeWorld(t, { random: 0.5 });
    const client = await connectedClient();
    bindTo(client);
    client.sendMessage("chat", { channel: "c" });
    for (const [index, wait] of [500, 1000, 2000].entries()) {
      newest().refuse("hotsock.subscribe", "c", code);
      await pass(wait - 1);
      assert.equal(said().length, index + 1);
      await pass(1);
      assert.equal(said().length, index + 2);
    }
    newest().subscribed("c");
    assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE, SUBSCRIBE, SUBSCRIBE, "chat c"]);
  });
}

test("an unbind while waiting to ask again ends it", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const binding = bindTo(client);
  newest().refuse("hotsock.subscribe", "c", "RATE_LIMITED");
  binding.unbind();
  await pass(29_000);
  assert.deepEqual(said(), [SUBSCRIBE]);
});

test("a bind while waiting to ask again asks now, and not a second time", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const binding = bindTo(client);
  newest().refuse("hotsock.subscribe", "c", "RATE_LIMITED");
  binding.unbind();
  bindTo(client);
  assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE]);
  await pass(29_000);
  assert.deepEqual(said(), [SUBSCRIBE, SUBSCRIBE]);
});

test("a refusal that answers no request of ours changes nothing", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  bindTo(client);
  newest().subscribed("c");
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  newest().refuse("hotsock.subscribe", "unknown", "SUBSCRIBE_PERMISSION_DENIED");
  assert.deepEqual([client.channels("c").subscribed, said()], [true, [SUBSCRIBE]]);
});

test("refused requests are not counted against the connection", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const events = ownEvents(client);
  bindTo(client);
  newest().refuse("hotsock.subscribe", "c", "SUBSCRIBE_PERMISSION_DENIED");
  await pass(1);
  assert.deepEqual([events, sockets.length, client.state], [[], 1, "connected"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedClient, fakeWorld, listen, makeClient, newest, said, settle } from "./harness.js";

async function subscribedClient() {
  const client = await connectedClient();
  for (const channel of ["c", "d"]) {
    client.bind("unused", () => {}, { channel });
    newest().subscribed(channel);
  }
  return client;
}

const FRAMES = [
  { event: "chat", channel: "c", data: 1 },
  { event: "chat", channel: "d", data: 2 },
  { event: "chatter", channel: "c", data: 3 },
  { event: "chat", data: 4 },
  { event: "chat", channel: "elsewhere", data: 5 },
];

const HEARD = [
  ["an event of a channel", "chat", "c", [1]],
  ["an event without a channel", "chat", undefined, [1, 2, 4, 5]],
  ["a RegExp of a channel", /^chat/, "c", [1, 3]],
  ["a RegExp without a channel", /^chat/, undefined, [1, 2, 3, 4, 5]],
  ["a RegExp that remembers its last match", /chat/g, undefined, [1, 2, 3, 4, 5]],
  ["a sticky RegExp", /chat$/y, undefined, [1, 2, 4, 5]],
  ["an event that never comes", "Chat", undefined, []],
];

for (const [what, event, channel, expected] of HEARD) {
  test(`${what} hears ${expected.join(", ") || "nothing"}`, async (t) => {
    fakeWorld(t);
    const client = await subscribedClient();
    const heard = listen(client, event, { channel });
    for (const frame of FRAMES) newest().say(frame);
    assert.deepEqual(
      heard.map(({ data }) => data),
      expected,
    );
  });
}

test("a callback gets the frame as it came", async (t) => {
  fakeWorld(t);
  const client = await subscribedClient();
  const heard = listen(client, "chat", { channel: "c" });
  const frame = {
    id: "01J",
    event: "chat",
    channel: "c",
    data: null,
    meta: { uid: "jim", umd: 1 },
  };
  newest().say(frame);
  assert.deepEqual(heard, [frame]);
});

test("a channel's callbacks come first, each group in the order of binding", async (t) => {
  fakeWorld(t);
  const client = await subscribedClient();
  const calls = [];
  client.bind("chat", () => calls.push("everywhere 1"));
  client.bind(/.+/, () => calls.push("channel 1"), { channel: "c" });
  client.bind("chat", () => calls.push("channel 2"), { channel: "c" });
  client.bind(/chat/, () => calls.push("everywhere 2"));
  newest().say({ event: "chat", channel: "c" });
  assert.deepEqual(calls, ["channel 1", "channel 2", "everywhere 1", "everywhere 2"]);
});

test("the same callback bound twice is called twice, and ended once for each", async (t) => {
  fakeWorld(t);
  const client = await subscribedClient();
  let calls = 0;
  const callback = () => (calls += 1);
  const first = client.bind("chat", callback);
  client.bind("chat", callback);
  newest().say({ event: "chat" });
  assert.equal(calls, 2);
  first.unbind();
  first.unbind();
  newest().say({ event: "chat" });
  assert.equal(calls, 3);
});

test("a frame cannot pass for one of the client's own events", async (t) => {
  fakeWorld(t);
  const client = await subscribedClient();
  const spoofed = ["@@connect", "@@disconnect", "@@error"].map((event) => listen(client, event));
  const everything = listen(client, /^@@/);
  for (const event of ["@@connect", "@@disconnect", "@@error"])
    newest().say({ event, channel: "c" });
  assert.deepEqual(spoofed, [[], [], []]);
  assert.equal(everything.length, 3);
});

test("a RegExp does not match the client's own events", async (t) => {
  fakeWorld(t);
  const client = makeClient();
  const heard = listen(client, /.*/);
  await settle();
  newest().connect();
  assert.deepEqual(
    heard.map(({ event }) => event),
    ["hotsock.connected"],
  );
});

test("events and channels may be named like parts of the language", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "constructor", { channel: "__proto__" });
  newest().subscribed("__proto__");
  for (const event of ["constructor", "toString", "__proto__"]) {
    newest().say({ event, channel: "__proto__" });
    newest().say({ event, channel: "constructor" });
  }
  assert.equal(heard.length, 1);
});

// [what is called, what is still heard of: c/chat, c/regexp, everywhere/chat, everywhere/regexp]
const ENDINGS = [
  ["binding.unbind()", (_, binding) => binding.unbind(), ["/chat/ c", "chat", "/chat/"]],
  [
    "unbind of event and channel",
    (c) => c.unbind("chat", { channel: "c" }),
    ["/chat/ c", "chat", "/chat/"],
  ],
  [
    "unbind of RegExp and channel",
    (c) => c.unbind(/chat/, { channel: "c" }),
    ["chat c", "chat", "/chat/"],
  ],
  ["unbind of an event", (c) => c.unbind("chat"), ["chat c", "/chat/ c", "/chat/"]],
  ["unbind of a RegExp", (c) => c.unbind(/chat/), ["chat c", "/chat/ c", "chat"]],
  ["unbind of another RegExp", (c) => c.unbind(/chat/i), ["chat c", "/chat/ c", "chat", "/chat/"]],
  ["unbind of a channel", (c) => c.unbind(undefined, { channel: "c" }), ["chat", "/chat/"]],
  ["unbind of all without a channel", (c) => c.unbind(), ["chat c", "/chat/ c"]],
  [
    "channel.unbind of an event",
    (c) => c.channels("c").unbind("chat"),
    ["/chat/ c", "chat", "/chat/"],
  ],
  ["channel.unbind", (c) => c.channels("c").unbind(), ["chat", "/chat/"]],
  ["clearBindings", (c) => c.clearBindings(), []],
];

for (const [what, end, expected] of ENDINGS) {
  test(`after ${what}, those left are: ${expected.join(", ") || "none"}`, async (t) => {
    fakeWorld(t);
    const client = await subscribedClient();
    const calls = [];
    const binding = client.bind("chat", () => calls.push("chat c"), { channel: "c" });
    client.bind(/chat/, () => calls.push("/chat/ c"), { channel: "c" });
    client.bind("chat", () => calls.push("chat"));
    client.bind(/chat/, () => calls.push("/chat/"));
    end(client, binding);
    newest().say({ event: "chat", channel: "c" });
    assert.deepEqual(calls, expected);
  });
}

test("clearBindings also ends the client's own events", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const heard = listen(client, "@@message");
  client.clearBindings();
  newest().say({ event: "chat" });
  assert.deepEqual(heard, []);
});

test("a callback ended by an earlier one is not called", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const calls = [];
  client.bind("chat", () => later.unbind());
  const later = client.bind("chat", () => calls.push("later"));
  client.bind("chat", () => calls.push("last"));
  newest().say({ event: "chat" });
  assert.deepEqual(calls, ["last"]);
});

test("after clearBindings in a callback no other is called", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  client.bind("chat", () => client.clearBindings());
  const heard = listen(client, "chat");
  newest().say({ event: "chat" });
  assert.deepEqual(heard, []);
});

test("a callback bound by a callback hears the next frame, not this one", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  const calls = [];
  const first = client.bind("chat", () => {
    first.unbind();
    client.bind("chat", ({ data }) => calls.push(data));
  });
  newest().say({ event: "chat", data: 1 });
  newest().say({ event: "chat", data: 2 });
  assert.deepEqual(calls, [2]);
});

const FAILURES = [
  [
    "throws",
    () => {
      throw new Error("broken");
    },
  ],
  [
    "rejects",
    async () => {
      throw new Error("broken");
    },
  ],
];

for (const [what, callback] of FAILURES) {
  test(`a callback that ${what} goes to @@error, and the others run`, async (t) => {
    fakeWorld(t);
    const client = await subscribedClient();
    const errors = listen(client, "@@error");
    client.bind("chat", callback, { channel: "c" });
    const heard = listen(client, "chat", { channel: "c" });
    newest().say({ event: "chat", channel: "c", data: 1 });
    await settle();
    newest().say({ event: "chat", channel: "c", data: 2 });
    await settle();
    assert.deepEqual(
      heard.map(({ data }) => data),
      [1, 2],
    );
    const details = errors.map(({ code, event, channel, cause }) => [
      code,
      event,
      channel,
      cause.message,
    ]);
    const expected = ["CALLBACK_FAILED", "chat", "c", "broken"];
    assert.deepEqual(details, [expected, expected]);
  });
}

test("a callback of @@error that throws is not called because of itself", async (t) => {
  fakeWorld(t);
  const client = await connectedClient();
  let calls = 0;
  client.bind("@@error", () => {
    calls += 1;
    throw new Error("broken too");
  });
  const others = listen(client, "@@error");
  client.bind("chat", () => {
    throw new Error("broken");
  });
  newest().say({ event: "chat" });
  assert.equal(calls, 1);
  assert.deepEqual(
    others.map(({ event }) => event),
    ["chat"],
  );
});

const NO_BINDINGS = [
  ["an event that is no string", [1, () => {}]],
  ["an event that is empty", ["", () => {}]],
  ["no event", [undefined, () => {}]],
  ["no callback", ["chat"]],
  ["a callback that is no function", ["chat", "callback"]],
  ["a channel that is no string", ["chat", () => {}, { channel: 1 }]],
  ["a channel that is empty", ["chat", () => {}, { channel: "" }]],
  [
    "a subscribeTokenFn that is no function",
    ["chat", () => {}, { channel: "c", subscribeTokenFn: "t" }],
  ],
];

for (const [what, args] of NO_BINDINGS) {
  test(`bind refuses ${what}, and subscribes to nothing`, async (t) => {
    fakeWorld(t);
    const client = await connectedClient();
    assert.throws(() => client.bind(...args), TypeError);
    assert.deepEqual(said(), []);
  });
}

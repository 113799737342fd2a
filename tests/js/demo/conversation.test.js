import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../../static/chat/demo/model/rows.js";
import { newest, pass, settle, sockets } from "../client/harness.js";
import {
  CHANNEL,
  acknowledge,
  chat,
  deleted,
  heard,
  idOf,
  keep,
  makeConversation,
  plain,
  reacted,
  reactionsOf,
  refuse,
  sent,
  subscribe,
  texts,
  waiting,
} from "./harness.js";

const messages = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, index) => chat(from + index));

test("it begins with the newest messages, in one request", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 230);
  assert.equal(conversation.history, "loading");
  await subscribe();
  assert.equal(conversation.history, "ready");
  assert.deepEqual(texts(conversation), messages(181, 230).map(({ data }) => data));
  assert.deepEqual(server.asked, [{ limit: 50 }]);
});

test("older messages are read as the reader goes up, to the first", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 80);
  await subscribe();
  const { reader, timeline } = conversation;
  reader.older();
  reader.older(); // is on its way
  assert.equal(reader.reading, "older");
  await settle();
  assert.deepEqual([timeline.firstId, timeline.hasOlder, reader.reading], [idOf(1), false, null]);
  reader.older();
  assert.deepEqual(server.asked, [{ limit: 50 }, { before: idOf(31), limit: 50 }]);
});

test("a short chat is known to its beginning", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 3);
  await subscribe();
  assert.equal(conversation.timeline.hasOlder, false);
});

test("what is new is told as that, what was there is not", async (t) => {
  const { conversation, server } = await makeConversation(t);
  const arrived = heard(conversation, "arrived");
  server.history = messages(1, 2);
  await subscribe();
  newest().say(chat(3));
  newest().say(chat(4, { event: "note" }));
  assert.deepEqual(arrived, [{ id: idOf(3), uid: "pam" }]);
});

test("what the server replays after a cut needs no history", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 3);
  await subscribe({ position: 3 });
  newest().end();
  await pass(1000);
  await subscribe({ position: 5, recovered: true, replayed: 2 });
  newest().say(chat(4));
  newest().say(reacted(1, "pam", "👍"));
  assert.deepEqual(texts(conversation), messages(1, 4).map(({ data }) => data));
  assert.deepEqual(plain(conversation.timeline.entries[0].reactions), { "👍": ["pam"] });
  assert.equal(server.asked.length, 1);
});

test("where it cannot, all that is shown is read again", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 80);
  await subscribe();
  conversation.reader.older();
  await settle();
  newest().end();
  server.history = messages(1, 82).filter(({ id }) => id !== idOf(5) && id !== idOf(70));
  server.history[2].reactions = reactionsOf({ "😂": ["pam"] });
  await pass(1000);
  await subscribe({ position: 900, recovered: false });
  const shown = conversation.timeline.entries;
  assert.deepEqual(shown.map(({ id }) => id), server.history.slice(1).map(({ id }) => id));
  assert.deepEqual(plain(shown[1].reactions), { "😂": ["pam"] });
});

test("after more than can be made up for, it shows the newest to who is at the end", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 60);
  await subscribe();
  newest().end();
  server.history = messages(1, 2000);
  await pass(1000);
  await subscribe({ position: 2000, recovered: false });
  assert.deepEqual(texts(conversation), messages(1951, 2000).map(({ data }) => data));
});

test("a reader further up stays there; the end is read when it is wanted", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 60);
  await subscribe();
  const { timeline } = conversation;
  conversation.followEnd(false);
  newest().end();
  server.history = messages(1, 2000);
  await pass(1000);
  await subscribe({ position: 2000, recovered: false });
  const isShown = () => [timeline.get(idOf(60)) !== undefined, timeline.hasNewer];
  assert.deepEqual(isShown(), [true, true]);
  newest().say(chat(2001));
  assert.deepEqual([...isShown(), timeline.get(idOf(2001))], [true, true, undefined]);
  server.history.push(chat(2001));
  conversation.followEnd(true);
  await settle();
  newest().say(chat(2002));
  assert.deepEqual(texts(conversation), messages(1952, 2002).map(({ data }) => data));
});

test("a stretch that cannot be read says so, and can be read again", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 80);
  await subscribe();
  server.failure = 400;
  conversation.reader.older();
  await settle();
  assert.deepEqual([conversation.reader.failed, conversation.reader.reading], ["older", null]);
  server.failure = null;
  conversation.retry();
  await settle();
  assert.deepEqual([conversation.reader.failed, texts(conversation).length], [null, 80]);
});

test("history that cannot be read is told, and Try again reads it", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 2);
  server.failure = 503;
  await subscribe();
  assert.deepEqual([conversation.history, conversation.wasReady], ["failed", false]);
  server.failure = null;
  conversation.retry();
  await pass(1000);
  await subscribe();
  assert.deepEqual([conversation.history, texts(conversation)], ["ready", ["message 1", "message 2"]]);
});

test("a deleted message is gone, with its reactions", async (t) => {
  const { conversation, server } = await makeConversation(t);
  server.history = messages(1, 3);
  await subscribe();
  newest().say(deleted(2));
  newest().say(reacted(2, "pam", "👍"));
  assert.deepEqual(texts(conversation), ["message 1", "message 3"]);
});

test("a message that is confirmed keeps the key of the one that waited", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  for (const text of ["a", "b"]) conversation.sending.send(text);
  const [, b] = conversation.sending.outbox.items.map(keyOf);
  newest().say(chat(1, { uid: "jim", data: "b" }));
  assert.equal(conversation.timeline.get(idOf(1)).key, b);
});

test("a message is waiting until its echo is here", async (t) => {
  const { conversation, kept } = await makeConversation(t);
  await subscribe();
  conversation.sending.send("hi");
  assert.deepEqual([waiting(conversation), sent("chat")], [["sent hi"], ["hi"]]);
  newest().say(chat(1, { uid: "jim", data: "hi" }));
  assert.deepEqual([waiting(conversation), texts(conversation)], [[], ["hi"]]);
  await acknowledge("hi", idOf(1));
  assert.deepEqual(kept.items, []);
});

test("messages go out at once, in order, and each hears its own answer", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  for (const text of ["a", "b", "c"]) conversation.sending.send(text);
  assert.deepEqual(sent("chat"), ["a", "b", "c"]);
  newest().say(chat(1, { uid: "pam", data: "a" })); // the other one says the same
  assert.deepEqual(waiting(conversation), ["sent a", "sent b", "sent c"]);
  newest().say(chat(2, { uid: "jim", data: "a" }));
  await refuse("b", "RATE_LIMITED");
  assert.deepEqual(waiting(conversation), ["failed b", "sent c"]);
});

test("a refused message tells why, and can be sent again", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  conversation.sending.send("a");
  await refuse("a", "SERVICE_UNAVAILABLE");
  const [item] = conversation.sending.outbox.items;
  assert.match(item.reason, /could not store/);
  conversation.sending.again(item.key);
  assert.deepEqual([waiting(conversation), sent("chat")], [["sent a"], ["a", "a"]]);
});

test("what is sent before there is a connection goes out with it, in order", async (t) => {
  const { conversation } = await makeConversation(t);
  conversation.sending.send("a");
  conversation.sending.send("b");
  assert.deepEqual(waiting(conversation), ["queued a", "queued b"]);
  await subscribe();
  assert.deepEqual([sent("chat"), waiting(conversation)], [["a", "b"], ["sent a", "sent b"]]);
});

test("what was lost with the connection goes out again as the same message", async (t) => {
  const { conversation, server } = await makeConversation(t);
  await subscribe();
  for (const text of ["a", "b"]) conversation.sending.send(text);
  const before = newest().frames.slice(1);
  newest().end();
  conversation.sending.send("c");
  assert.deepEqual(waiting(conversation), ["sent a", "sent b", "queued c"]);
  server.history.push(chat(1, { uid: "jim", data: "a" }));
  await pass(1000);
  await subscribe({ position: 1 });
  assert.deepEqual(newest().frames.slice(1, 3), before);
  assert.deepEqual([sent("chat"), waiting(conversation)], [["a", "b", "c"], ["sent b", "sent c"]]);
  await acknowledge("a", idOf(1));
  await acknowledge("b", idOf(2));
  newest().say(chat(2, { uid: "jim", data: "b" }));
  assert.deepEqual([waiting(conversation), texts(conversation)], [["sent c"], ["a", "b"]]);
});

test("an answer that names a message which is here already ends the waiting", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().say(chat(3));
  conversation.sending.send("a");
  await acknowledge("a", idOf(2));
  assert.deepEqual(waiting(conversation), []);
});

test("after five minutes without a connection it is kept, and goes out once there is one", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  conversation.sending.send("a");
  const [{ ack }] = newest().frames.slice(-1);
  newest().end();
  await pass(300_000);
  assert.deepEqual(waiting(conversation), ["queued a"]);
  await subscribe();
  assert.deepEqual([newest().frames.at(-1).ack, waiting(conversation)], [ack, ["sent a"]]);
});

test("what the client did not send in time is kept", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().readyState = 2; // closing has begun, nobody was told yet
  for (let count = 0; count < 257; count += 1) conversation.sending.send("a"); // too many to wait
  await settle();
  const states = conversation.sending.outbox.items.map(({ state }) => state);
  assert.deepEqual([states.indexOf("queued"), states.length], [256, 257]);
  newest().end();
  await pass(1000);
  await subscribe();
  assert.equal(sent("chat").length, 257);
});

test("a lost subscription sends the message again after the next one", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  conversation.sending.send("a");
  await refuse("a", "NOT_SUBSCRIBED");
  newest().subscribed(CHANNEL);
  assert.deepEqual([sent("chat"), waiting(conversation)], [["a", "a"], ["sent a"]]);
});

test("a channel that refuses this person refuses what waits in the client", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().readyState = 2;
  conversation.sending.send("a");
  newest().end();
  await pass(1000);
  newest().connect();
  newest().refuse("hotsock.subscribe", CHANNEL, "SUBSCRIBE_PERMISSION_DENIED");
  await settle();
  assert.match(conversation.sending.outbox.items[0].reason, /does not let this person/);
});

test("what was on its way when the page was left goes out again as the same message", async (t) => {
  const saved = [
    { text: "stored", state: "sent", since: "", ack: "a".repeat(32), triedAt: Date.UTC(2030) },
    { text: "waiting", state: "queued", since: "" },
  ];
  const { conversation } = await makeConversation(t, { saved });
  await subscribe();
  assert.deepEqual([sent("chat"), newest().frames[1].ack], [["stored", "waiting"], "a".repeat(32)]);
  await acknowledge("stored", idOf(1));
  newest().say(chat(1, { uid: "jim", data: "stored" }));
  assert.deepEqual(waiting(conversation), ["sent waiting"]);
});

test("what may have been lost with the page too long ago is not sent again by itself", async (t) => {
  const saved = [
    { text: "lost?", state: "sent", since: "", triedAt: Date.UTC(2029) },
    { text: "here", state: "sent", since: "", triedAt: Date.UTC(2029) },
  ];
  const { conversation, server } = await makeConversation(t, { saved });
  server.history = [chat(1, { uid: "jim", data: "here" })];
  await subscribe();
  const [{ reason }] = conversation.sending.outbox.items;
  assert.deepEqual([waiting(conversation), sent("chat")], [["failed lost?"], []]);
  assert.match(reason, /not known/);
});

test("what waits in a copied tab is sent by the first tab alone", async (t) => {
  const saved = [{ text: "waiting", state: "queued", since: idOf(1) }];
  const kept = keep(saved, true);
  const { conversation } = await makeConversation(t, { kept });
  await subscribe();
  assert.deepEqual([sent("chat"), waiting(conversation)], [[], ["failed waiting"]]);
  assert.match(conversation.sending.outbox.items[0].reason, /Another tab/);
  newest().say(chat(2, { uid: "jim", data: "waiting" }));
  assert.deepEqual([waiting(conversation), texts(conversation)], [[], ["waiting"]]);
});

test("what is written is known to be later than what was there", async (t) => {
  const { conversation, server, kept } = await makeConversation(t);
  server.history = [chat(1)];
  await subscribe();
  newest().end();
  conversation.sending.send("a");
  assert.equal(kept.items[0].since, idOf(1));
});

test("a page that is done leaves what waits to the next one", async (t) => {
  const { conversation, kept } = await makeConversation(t);
  conversation.sending.send("a");
  assert.equal(kept.isOwned, true);
  conversation.close();
  assert.deepEqual([kept.isOwned, kept.items.map(({ state }) => state)], [false, ["queued"]]);
});

test("typing is told while connected, at most each 1.5 s", async (t) => {
  const { conversation } = await makeConversation(t);
  conversation.typed("h");
  await subscribe();
  assert.equal(sent("is-typing").length, 0); // that was then
  conversation.typed("he");
  conversation.typed("hel");
  assert.equal(sent("is-typing").length, 1);
});

test("typing of others is shown until their message is here; one's own is not", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  const typing = (uid) => newest().say({ event: "is-typing", channel: CHANNEL, data: null, meta: { uid } });
  typing("jim");
  assert.deepEqual(conversation.typingUids, []);
  typing("pam");
  assert.deepEqual(conversation.typingUids, ["pam"]);
  newest().say(chat(1, { uid: "pam" }));
  assert.deepEqual(conversation.typingUids, []);
});

test("a reaction is sent, and shown when its echo is here", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().say(chat(1));
  const [entry] = conversation.timeline.entries;
  conversation.reacting.choose(entry, "👍");
  assert.deepEqual(sent("hotsock.messageReaction"), [
    { messageId: idOf(1), reaction: "👍", action: "add" },
  ]);
  const shown = () => plain(conversation.timeline.get(idOf(1)).reactions);
  assert.deepEqual(shown(), {});
  newest().say(reacted(1, "jim", "👍"));
  assert.deepEqual(shown(), { "👍": ["jim"] });
});

test("another reaction takes the first one back before", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().say(chat(1));
  newest().say(reacted(1, "jim", "👍"));
  conversation.reacting.choose(conversation.timeline.entries[0], "❤️");
  assert.deepEqual(
    sent("hotsock.messageReaction").map(({ action, reaction }) => `${action} ${reaction}`),
    ["remove 👍", "add ❤️"],
  );
});

test("what a lost connection swallowed does not count as chosen", async (t) => {
  const { conversation } = await makeConversation(t);
  await subscribe();
  newest().say(chat(1));
  const [entry] = conversation.timeline.entries;
  conversation.reacting.choose(entry, "👍");
  newest().end();
  await pass(1000);
  await subscribe();
  conversation.reacting.choose(entry, "👍");
  const actions = sent("hotsock.messageReaction").map(({ action }) => action);
  assert.deepEqual(actions, ["add", "add"]); // the first is the client's own second try
});

test("a reaction that cannot be told is said so", async (t) => {
  const { conversation } = await makeConversation(t);
  const trouble = heard(conversation, "trouble");
  await subscribe();
  newest().say(chat(1));
  newest().refuse("hotsock.messageReaction", CHANNEL, "MESSAGE_NOT_FOUND");
  newest().end();
  conversation.reacting.choose(conversation.timeline.entries[0], "👍");
  assert.match(trouble[0], /no longer there/);
  assert.match(trouble[1], /once connected/);
});

test("a closed conversation leaves no connection and keeps what waits", async (t) => {
  const { conversation, kept } = await makeConversation(t);
  await subscribe();
  conversation.sending.send("a");
  conversation.close();
  await pass(60_000);
  assert.deepEqual([sockets.length, sockets[0].closedWith], [1, 1000]);
  assert.deepEqual(kept.items.map(({ text, state }) => `${state} ${text}`), ["sent a"]);
});

// A conversation on the real client, with fake sockets and a server made of a list: fetch answers
// from `history` as the server would (protocol.md section 14), at once or when it is let go.

import { Connection } from "../../../static/chat/demo/model/connection.js";
import { Conversation } from "../../../static/chat/demo/model/conversation.js";
import { fakeWorld, makeClient, newest, settle } from "../client/harness.js";

export const CHANNEL = "chat-s";

/** The nth message id of a test; later ones are greater. */
export const idOf = (n) => `01J0000000${String(n).padStart(16, "0")}`;

/** The nth change of the channel, a message. */
export const chat = (n, { uid = "pam", data = `message ${n}`, ...more } = {}) => ({
  id: idOf(n),
  position: n,
  event: "chat",
  channel: CHANNEL,
  data,
  meta: { uid, umd: null },
  ...more,
});

let changes = 900_000; // behind all messages

export const reacted = (n, uid, reaction, action = "add") => ({
  id: idOf(++changes),
  position: changes,
  event: `hotsock.messageReaction${action === "add" ? "Added" : "Removed"}`,
  channel: CHANNEL,
  data: { messageId: idOf(n), reaction, action },
  meta: { uid, umd: null },
});

export const deleted = (n) => ({
  event: "hotsock.messageDeleted",
  channel: CHANNEL,
  position: ++changes,
  data: { messageId: idOf(n) },
});

/** {count, items} as a page with expandReactions has them. */
export const reactionsOf = (table) =>
  Object.fromEntries(
    Object.entries(table).map(([reaction, uids]) => [
      reaction,
      { count: [...uids].length, items: [...uids].map((uid) => ({ uid })) },
    ]),
  );

export class FakeServer {
  history = [];
  /** Status that every listMessages answers instead, where set. */
  failure = null;
  /** What listMessages was asked: {before, after, limit}, those that were given. */
  asked = [];
  #gate = Promise.resolve();

  /** Answers wait from now on, until the returned function is called. */
  hold() {
    const { promise, resolve } = Promise.withResolvers();
    this.#gate = promise;
    return resolve;
  }

  fetch = async (_url, { body, signal }) => {
    const { status, answer } = this.#answer(JSON.parse(body));
    await Promise.race([this.#gate, aborted(signal)]);
    return new Response(JSON.stringify(answer), { status });
  };

  #answer({ before, after, reverse, limit = 100 }) {
    this.asked.push(JSON.parse(JSON.stringify({ before, after, limit })));
    if (this.failure) return { status: this.failure, answer: {} };
    const isIn = ({ id }) => id > (after ?? "") && (!before || id < before);
    const all = this.history.filter(isIn);
    const messages = (reverse ? all.toReversed() : all).slice(0, limit);
    return { status: 200, answer: structuredClone({ messages }) };
  }
}

function aborted(signal) {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

/** What a tab keeps: `items` is what was written last; `isOwned` by a page that is at work on it. */
export const keep = (items = [], isOwned = false) => ({
  items,
  isOwned,
  read() {
    return this.items;
  },
  write(value) {
    this.items = structuredClone(value);
  },
  claim() {
    const isFree = !this.isOwned;
    this.isOwned = true;
    return isFree;
  },
  release() {
    this.isOwned = false;
  },
});

/** A conversation of jim that has connected; `subscribe()` goes on from there. */
export async function makeConversation(
  t,
  { token = async () => "token", saved = [], kept = keep(saved), ...more } = {},
) {
  fakeWorld(t);
  const server = new FakeServer();
  t.mock.method(globalThis, "fetch", server.fetch);
  const connection = new Connection({
    channel: CHANNEL,
    token,
    createClient: makeClient,
    offline: () => null,
    ...more,
  });
  const conversation = new Conversation({ uid: "jim", connection, kept });
  t.after(() => conversation.close());
  await settle();
  return { conversation, server, kept };
}

/** Connects the newest socket and subscribes on it; `data`: what the server says of a recovery. */
export async function subscribe(data = {}) {
  newest().connect();
  newest().subscribed(CHANNEL, { data: { position: 0, epoch: "e", ...data } });
  await settle();
}

/** What an event of the conversation brought, from now on. */
export function heard(conversation, type) {
  const details = [];
  conversation.addEventListener(type, ({ detail }) => details.push(detail));
  return details;
}

export const texts = ({ timeline }) => timeline.entries.map(({ text }) => text);

export const waiting = ({ sending }) =>
  sending.outbox.items.map(({ text, state }) => `${state} ${text}`);

/** The frames of an event that the newest socket got: their data. */
export const sent = (event) =>
  newest().frames.filter((frame) => frame.event === event).map(({ data }) => data);

const ackOf = (text) => newest().frames.findLast(({ data }) => data === text).ack;

/** The server has stored the message of that text, as the newest socket hears. */
export async function acknowledge(text, id) {
  newest().acknowledge(ackOf(text), { id });
  await settle();
}

/** The server refuses it. */
export async function refuse(text, code) {
  newest().refuse("chat", CHANNEL, code, ackOf(text));
  await settle();
}

export const plain = (reactions) =>
  Object.fromEntries([...reactions].map(([reaction, uids]) => [reaction, [...uids].toSorted()]));

// What a frame means, in a sentence. Pure. Frames are the server's or the user's: no field of them
// is trusted to be there, or to be of its type.

import { parse } from "./inside-mask.js";

const MAX_NAME = 60; // UTF-16 units

/** @typedef {{title: string, words: string, tone: "" | "refused" | "missed"}} Meaning */

/** Reads entries in their order: what a frame means depends on those before it. */
export class Meanings {
  #own;
  #missed = null; // {channel, left, all} while frames come that the server sends to catch up

  /** @param {function(): ?string} own the window's channel, which needs no name */
  constructor(own) {
    this.#own = own;
  }

  /**
   * @param {import("./inside.js").Entry} entry
   * @returns {Meaning}
   */
  of({ kind, text }) {
    if (kind in STATES) return { title: kind, words: STATES[kind](text), tone: "" };
    const frame = parse(text);
    const event = typeof frame?.event === "string" ? textOf(frame.event) : "";
    if (!event) return { title: "?", words: "This is no frame, or too long a one.", tone: "" };
    const [table, otherwise] = kind === "out" ? [SENT, sent] : [RECEIVED, received];
    const place = frame.channel === this.#own() ? "this channel" : textOf(frame.channel);
    const words = (Object.hasOwn(table, event) ? table[event] : otherwise)(frame, place);
    return { title: event, ...(kind === "in" ? this.#inTurn(frame, words) : { words, tone: "" }) };
  }

  #inTurn(frame, words) {
    if (frame.event === "hotsock.error") return { words, tone: "refused" };
    const missed = this.#missed;
    if (missed && frame.channel === missed.channel && frame.position !== undefined) {
      if (--missed.left === 0) this.#missed = null;
      return { words: `Missed, ${missed.all - missed.left} of ${missed.all}: ${words}`, tone: "missed" };
    }
    this.#begin(frame);
    return { words, tone: "" };
  }

  #begin({ event, channel, data }) {
    if (event !== "hotsock.subscribed" && event !== "hotsock.connected") return;
    const all = data?.recovered === true && data.replayed > 0 ? data.replayed : 0;
    this.#missed = all ? { channel, all, left: all } : null;
  }
}

/** Only strings and numbers: an object may do anything when it is made a string. */
function textOf(value, otherwise = "?") {
  if (typeof value === "number") return String(value);
  if (typeof value !== "string") return otherwise;
  return value.length > MAX_NAME ? `${value.slice(0, MAX_NAME)}…` : value;
}

const quoted = (data) => (typeof data === "string" ? ` “${textOf(data)}”` : "");
const nameOf = ({ meta }) => textOf(meta?.uid, "the server");

/** The last characters: those that differ. */
const shortId = (id) => `…${textOf(id).slice(-6)}`;

// --- the connection -----------------------------------------------------------------------------

const CLOSES = {
  1000: "This window closed the connection.",
  1001: "The server ended the connection: it was as old or as idle as one may be.",
  1006: "The connection broke.",
  1009: "The server ended the connection: a frame was too large.",
  1012: "The server restarts.",
  1013: "The server asks to come back later.",
  4403: "The server ended the connection: its token was revoked, or its owner banned.",
  4408: "The server ended the connection: a heartbeat was missing.",
  4410: "The server ended the connection: frames were not read fast enough.",
  4429: "The server ended the connection: it sent too fast.",
};

const STATES = {
  opened: () => "The WebSocket is open.",
  closed: (text) => `${CLOSES[text.split(" ")[0]] ?? "The connection ended."} (${text.trim()})`,
  failed: (text) => `It did not work: ${text}.`,
};

// --- sent ---------------------------------------------------------------------------------------

function sent({ data, scheduleExpression }, place) {
  const when = scheduleExpression === undefined ? "" : " at a later time";
  return `Publishes${quoted(data)} on ${place}${when}.`;
}

function subscribe({ data }, place) {
  const since = data?.since;
  const asked = since === undefined ? "" : `, and asks for what changed after number ${textOf(since)}`;
  return `Wants to hear of ${place}${asked}.`;
}

const reaction = ({ data }) => `${textOf(data?.reaction)} to the message ${shortId(data?.messageId)}`;

const SENT = {
  "hotsock.subscribe": subscribe,
  "hotsock.unsubscribe": (_, place) => `Wants to hear no more of ${place}.`,
  "hotsock.ping": () => "Asks whether the server is still there.",
  "hotsock.pong": () => "Says that it is still there.",
  "hotsock.heartbeat": () => "Says that it is still there, as its token asks for.",
  "hotsock.messageReaction": (frame) =>
    `${frame.data?.action === "remove" ? "Takes back" : "Reacts with"} ${reaction(frame)}.`,
  "hotsock.umdUpdate": () => "Wants to change its metadata, by a token that says to what.",
  "hotsock.channelStorageGet": ({ key }) => `Asks what is stored as ${textOf(key)}.`,
  "hotsock.channelStorageSet": ({ key }) => `Stores something as ${textOf(key)}.`,
  "is-typing": () => "Says that somebody types here. Nobody stores that.",
};

// --- received -----------------------------------------------------------------------------------

function received(frame) {
  const { position, data } = frame;
  const number = position === undefined ? "not stored" : `number ${textOf(position)}`;
  const words = quoted(data);
  return `A message of ${nameOf(frame)}, ${number}${words ? `:${words}` : "."}`;
}

function subscribed({ data }, place) {
  const at = data?.position === undefined ? "" : ` It stands at number ${textOf(data.position)}.`;
  return `Hears of ${place} from now on.${at}${recovery(data)}`;
}

function recovery(data) {
  if (data?.recovered === undefined) return "";
  if (data.recovered !== true) return " What was missed has to be read from the history.";
  if (data.replayed === 0) return " Nothing was missed.";
  return ` What was missed follows, in frames: ${textOf(data.replayed)}.`;
}

function acknowledged({ data }) {
  const id = data?.id === undefined ? "" : ` It is the message ${shortId(data.id)}.`;
  return `The server has done it${data?.repeated === true ? " already, at an earlier try" : ""}.${id}`;
}

const changed = ({ key }) => `What is stored as ${textOf(key)} is another now.`;
const member = (what) => ({ data }) => `${textOf(data?.member?.uid)} ${what}.`;

const RECEIVED = {
  "hotsock.connected": () =>
    "The server takes the connection: its id, and a secret for calls over HTTP.",
  "hotsock.keepAlive": () => "Keeps the connection from idling out.",
  "hotsock.pong": () => "The server is still there.",
  "hotsock.subscribed": subscribed,
  "hotsock.unsubscribed": (_, place) => `Hears no more of ${place}.`,
  "hotsock.messageReactionAdded": (frame) => `${nameOf(frame)} reacted with ${reaction(frame)}.`,
  "hotsock.messageReactionRemoved": (frame) => `${nameOf(frame)} took back ${reaction(frame)}.`,
  "hotsock.messageDeleted": ({ data }) => `The message ${shortId(data?.messageId)} was deleted.`,
  "hotsock.memberAdded": member("came"),
  "hotsock.memberUpdated": member("has other metadata"),
  "hotsock.memberRemoved": member("left"),
  "hotsock.umdUpdated": () => "The metadata is changed.",
  "hotsock.channelStorageData": ({ key }) => `What is stored as ${textOf(key)}.`,
  "hotsock.channelStorageUpdated": changed,
  "hotsock.channelUpdated": ({ data }) => `So many hear of the channel: ${textOf(data?.subscriptionsCount)}.`,
  "hotsock.error": ({ error }) => `Refused: ${textOf(error?.code)}. ${sentence(error?.message)}`,
  "hotsock.ack": acknowledged,
  "is-typing": (frame) => `${nameOf(frame)} types. Nobody stores that.`,
};

const sentence = (message) => (typeof message === "string" ? message.slice(0, 300) : "");

/** @returns {string} "1.2 KB" */
export const sizeWords = (bytes) =>
  bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(bytes < 100_000 ? 1 : 0)} KB`;

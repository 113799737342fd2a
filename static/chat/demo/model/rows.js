// What the list of messages shows, row by row: messages, those that wait behind them, and the line
// above what is unread. A row keeps its key when its message is confirmed. Pure.

import { breakBetween } from "./times.js";

const NOT_SENT = "Not sent yet";
const LATE_MS = 2000; // until then a message that waits needs no words

/**
 * @param {object} shown
 * @param {object[]} shown.entries of the timeline
 * @param {object[]} shown.waiting items of the outbox
 * @param {string} shown.own the uid whose window it is
 * @param {?string} shown.unreadId the first unread message
 * @param {number} shown.now unix milliseconds
 * @returns {object[]} {key, kind: "unread"} or
 *   {key, kind: "message", entry, isOwn, isFirst, isLast, after, fate}: first and last of a run;
 *   `after` is the time of the message before, NaN where there is none; `fate` is null for what the
 *   server has confirmed, else {state, words, key}
 */
export function rowsOf({ entries, waiting, own, unreadId, now }) {
  // Words below an earlier one would move the others.
  const last = waiting.findLast(({ state }) => state !== "failed");
  const rows = [
    ...entries.filter(isChat).map((entry) => rowOf(entry, own)),
    ...waiting.map((item) => waitingRow(item, own, item === last && now - item.at >= LATE_MS)),
  ];
  const unread = unreadId === null ? -1 : rows.findIndex(({ entry }) => entry.id === unreadId);
  rows.forEach((row, index) => {
    row.after = rows[index - 1]?.entry.time ?? NaN;
    row.isFirst = index === unread || !isRun(rows[index - 1], row);
    row.isLast = index + 1 === unread || !isRun(row, rows[index + 1]);
  });
  return unread < 0 ? rows : rows.toSpliced(unread, 0, { key: "unread", kind: "unread" });
}

/** When the words of one that waits are due next; Infinity: never. */
export const nextWords = (waiting, now) =>
  Math.min(...waiting.map(({ at }) => at + LATE_MS).filter((due) => due > now), Infinity);

/** Whatever else the channel may hold is not for this page. */
export const isChat = ({ event }) => event === "chat";

function rowOf(entry, own) {
  const key = entry.key ?? entry.id;
  return { key, kind: "message", entry, isOwn: entry.uid === own, fate: null };
}

function waitingRow(item, own, isLate) {
  const key = keyOf(item);
  const { text, at, state } = item;
  const entry = { id: null, uid: own, text, time: at, reactions: new Map() };
  const words = state === "failed" ? `Not sent. ${item.reason}` : isLate ? NOT_SENT : "";
  return { key, kind: "message", entry, isOwn: true, fate: { state, words, key: item.key } };
}

/** The key of a message's row, from its item of the outbox. */
export const keyOf = ({ key }) => `waiting-${key}`;

function isRun(before, after) {
  if (!before || !after || before.entry.uid !== after.entry.uid) return false;
  return breakBetween(before.entry.time, after.entry.time) === null;
}

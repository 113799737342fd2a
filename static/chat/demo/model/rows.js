// What the list of messages shows, row by row: messages, those that wait behind them, and the line
// above what is unread. A row keeps its key when its message is confirmed. Pure.

const RUN_MS = 5 * 60_000; // a longer pause begins a new run of one sender
const LATE_MS = 2000; // until then a message that waits needs no words

const FATES = {
  queued: "Not sent yet",
  sent: "Not sent yet",
  unsure: "Checking whether this arrived…",
};

/**
 * @param {object} shown
 * @param {object[]} shown.entries of the timeline
 * @param {object[]} shown.waiting items of the outbox
 * @param {string} shown.own the uid whose window it is
 * @param {?string} shown.unreadId the first unread message
 * @param {number} shown.now unix milliseconds
 * @returns {object[]} {key, kind: "unread"} or {key, kind: "message", entry, isOwn, isFirst, isLast,
 *   fate}: first and last of a run; `fate` is null for what the server has confirmed, else
 *   {state, words, key}
 */
export function rowsOf({ entries, waiting, own, unreadId, now }) {
  const rows = [
    ...entries.filter(isChat).map((entry) => rowOf(entry, own)),
    ...waiting.map((item) => waitingRow(item, own, now)),
  ];
  rows.forEach((row, index) => {
    row.isFirst = !isRun(rows[index - 1], row) || row.entry.id === unreadId;
    row.isLast = !isRun(row, rows[index + 1]) || rows[index + 1].entry.id === unreadId;
  });
  const unread = unreadId ? rows.findIndex(({ entry }) => entry.id === unreadId) : -1;
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

function waitingRow(item, own, now) {
  const key = keyOf(item);
  const { text, at, state } = item;
  const entry = { id: null, uid: own, text, time: at, reactions: new Map() };
  const words = state === "failed" ? `Not sent. ${item.reason}` : lateWords(item, now);
  return { key, kind: "message", entry, isOwn: true, fate: { state, words, key: item.key } };
}

/** The key of a message's row, from its item of the outbox. */
export const keyOf = ({ key }) => `waiting-${key}`;

const lateWords = ({ state, at }, now) => (now - at < LATE_MS ? "" : FATES[state]);

function isRun(before, after) {
  if (!before || !after) return false;
  const pause = after.entry.time - before.entry.time;
  return before.entry.uid === after.entry.uid && !(pause > RUN_MS);
}

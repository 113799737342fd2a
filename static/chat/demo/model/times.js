// Times of messages in the reader's own format, and what is said between two messages. Pure: times
// are milliseconds, NaN where there is none.

export const PAUSE_MS = 10 * 60_000; // after it, the time is said again

const DAY_MS = 24 * 60 * 60_000;
const YEAR_APART = 300 * DAY_MS; // the same date of another year would look the same

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const relativeDay = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const DATE = { weekday: "long", day: "numeric", month: "long" };
const date = new Intl.DateTimeFormat(undefined, DATE);
const dateAndYear = new Intl.DateTimeFormat(undefined, { ...DATE, year: "numeric" });

/** "day" where another day begins, "pause" after a long one, else null. */
export function breakBetween(before, time) {
  if (Number.isNaN(time)) return null;
  if (!(dayOf(before) === dayOf(time))) return "day";
  return time - before >= PAUSE_MS ? "pause" : null;
}

/** "9:05": the hour as it is said, also where the reader's format would write "09". */
export const clockWords = (time) => unpadded(clock, time);

/** Day and time to the second. */
export const exactWords = (time) => unpadded(exact, time);

/** "Today", "Yesterday", "Saturday, November 28"; long ago or in the future with its year. */
export function dayWords(time, now = Date.now()) {
  const days = (dayOf(time) - dayOf(now)) / DAY_MS;
  if (days === 0 || days === -1) return capitalized(relativeDay.format(days, "day"));
  return (Math.abs(now - time) > YEAR_APART ? dateAndYear : date).format(time);
}

/** The day of the reader's calendar, as UTC midnight: days are DAY_MS apart, also in spring. */
function dayOf(time) {
  const at = new Date(time);
  return Date.UTC(at.getFullYear(), at.getMonth(), at.getDate());
}

const unpadded = (format, time) => format.formatToParts(time).map(partWords).join("");

const partWords = ({ type, value }) => (type === "hour" ? value.replace(/^0(?=\d)/u, "") : value);

const capitalized = (words) => words.replace(/^\p{Ll}/u, (first) => first.toLocaleUpperCase());

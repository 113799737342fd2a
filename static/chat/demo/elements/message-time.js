// When a message was written: beside its bubble, and above it where a day begins or a while passed.

import { breakBetween, clockWords, dayWords, exactWords } from "../model/times.js";
import { fill } from "./fill.js";

/** Beside the bubble, seen on hover and focus. NaN, of an id that is no ULID: none. */
export function showWhen(item, time) {
  const element = item.querySelector(".when");
  element.hidden = Number.isNaN(time);
  if (element.hidden) return;
  const words = clockWords(time);
  if (element.textContent !== words) element.textContent = words; // else read out again
  element.title = exactWords(time);
  element.dateTime = new Date(time).toISOString();
}

/** Above the message: what its time says beside that of the one before, NaN where there is none. */
export function showSince(item, before, time) {
  const kind = breakBetween(before, time);
  const line = item.querySelector(".since");
  if (!kind) return line?.remove();
  const shown = line ?? fill("since-template", {});
  shown.querySelector("time").dateTime = new Date(time).toISOString();
  shown.dataset.kind = kind;
  sayDay(shown);
  if (!line) item.prepend(shown);
}

/** Another day has begun: what was today is yesterday. */
export function renameDays(list) {
  for (const line of list.querySelectorAll(".since[data-kind=day]")) sayDay(line);
}

function sayDay(line) {
  const time = Date.parse(line.querySelector("time").dateTime);
  const day = line.dataset.kind === "day" ? dayWords(time) : "";
  line.querySelector(".day").textContent = day;
  line.querySelector(".clock").textContent = clockWords(time);
}

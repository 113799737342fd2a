// The messages that the server has not confirmed, with what becomes of each.

import { fill } from "./fill.js";
import { showText } from "./message-text.js";

const FATES = {
  queued: "Waiting to be sent",
  sent: "Sending…",
  unsure: "Checking whether this arrived…",
};

export function renderPending(list, items) {
  const present = new Map([...list.children].map((element) => [element.dataset.key, element]));
  for (const item of items) {
    const key = String(item.key);
    const element = present.get(key) ?? make(item);
    present.delete(key);
    render(element, item);
    if (element.parentElement !== list) list.append(element);
  }
  for (const element of present.values()) element.remove();
  list.hidden = items.length === 0;
}

function make({ key, text }) {
  const element = fill("pending-template", {});
  showText(element.querySelector(".bubble"), text);
  element.dataset.key = key;
  for (const button of element.querySelectorAll("button")) button.dataset.key = key;
  return element;
}

function render(element, { state, reason }) {
  element.dataset.state = state;
  element.querySelector(".fate").setAttribute("role", state === "failed" ? "alert" : "none");
  setText(element.querySelector(".fate span"), FATES[state] ?? `Not sent. ${reason}`);
  element.querySelector(".fate-actions").hidden = state !== "failed";
}

/** Only what differs: the same words again would be read out again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

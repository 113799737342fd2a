// The list of messages in the order of their ids: puts in what is new where it belongs, and keeps
// runs of one sender together. Text only ever becomes a text node.

import { decodeTime } from "../../client/index.js";
import { nameOf, namesOf } from "../model/people.js";
import { breakBetween } from "../model/times.js";
import { fill } from "./fill.js";
import { showText } from "./message-text.js";
import { renameDays, showSince, showWhen } from "./message-time.js";

const NAMES = { "❤️": "Heart", "👍": "Thumbs up", "👎": "Thumbs down", "😂": "Laughter" };

export class MessageList {
  own; // the uid whose messages stand at the right
  #list;
  #items = new Map(); // message id -> li
  #entries = new WeakMap(); // li -> entry

  constructor(list) {
    this.#list = list;
  }

  entryOf(item) {
    return this.#entries.get(item);
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
  }

  /** `entries`: all of them in order, with `added` among them, most often at the end. */
  insert(added, entries) {
    const waiting = new Set(added);
    let next = null;
    for (let index = entries.length - 1; waiting.size > 0; index -= 1) {
      const entry = entries[index];
      if (waiting.delete(entry)) this.#list.insertBefore(this.#make(entry), next);
      next = this.#items.get(entry.id);
    }
    for (const { id } of added) this.#markRuns(this.#items.get(id));
    renameDays(this.#list);
  }

  /** Its reactions changed. */
  update(entry) {
    const item = this.#items.get(entry.id);
    const chips = item.querySelector(".chips");
    const focused = chips.contains(document.activeElement) && document.activeElement.dataset;
    chips.replaceChildren(...[...entry.reactions].map((each) => this.#chip(item, ...each)));
    if (focused) this.#refocus(item, focused.reaction);
  }

  #make(entry) {
    const item = fill("message-template", {
      ".sender": nameOf(entry.uid),
      ".disc": nameOf(entry.uid).slice(0, 1).toUpperCase(),
    });
    showText(item.querySelector(".bubble"), entry.text);
    item.classList.toggle("own", entry.uid === this.own);
    item.dataset.sender = entry.uid;
    showWhen(item, timeOf(entry));
    this.#items.set(entry.id, item);
    this.#entries.set(item, entry);
    if (entry.reactions.size) this.update(entry);
    return item;
  }

  #chip(item, reaction, uids) {
    const chip = fill("chip-template", {
      ".chip-emoji": reaction,
      ".chip-count": String(uids.size),
    });
    chip.dataset.reaction = reaction;
    chip.title = namesOf(uids);
    chip.tabIndex = item.tabIndex;
    chip.setAttribute("aria-pressed", String(uids.has(this.own)));
    chip.setAttribute("aria-label", `${NAMES[reaction] ?? reaction}, ${uids.size}: ${namesOf(uids)}`);
    return chip;
  }

  /** The chip that had the focus is there anew, or is gone: then its message has it. */
  #refocus(item, reaction) {
    const chips = [...item.querySelectorAll(".chip")];
    (chips.find((chip) => chip.dataset.reaction === reaction) ?? item).focus();
  }

  #markRuns(item) {
    for (const each of [item, item.nextElementSibling]) {
      if (!each) continue;
      const before = each.previousElementSibling;
      each.classList.toggle("first", !this.#isRun(before, each));
      showSince(each, before ? timeOf(this.entryOf(before)) : NaN, timeOf(this.entryOf(each)));
    }
    for (const each of [item.previousElementSibling, item]) {
      if (each) each.classList.toggle("last", !this.#isRun(each, each.nextElementSibling));
    }
  }

  #isRun(before, item) {
    if (!before || !item) return false;
    const [one, other] = [this.entryOf(before), this.entryOf(item)];
    return one.uid === other.uid && !breakBetween(timeOf(one), timeOf(other));
  }
}

/** NaN for the id of a foreign server that is no ULID: the message is shown without a time. */
function timeOf({ id }) {
  try {
    return decodeTime(id);
  } catch (error) {
    if (error instanceof TypeError) return NaN;
    throw error;
  }
}

// The list of messages: makes its elements say what the rows say (model/rows.js), and touches only
// what differs. An element stays with its row's key, so a message that is confirmed stays where it
// is. Text only ever becomes a text node.

import { nameOf, namesOf } from "../model/people.js";
import { fill } from "./fill.js";
import { focusNear } from "./focus-near.js";
import { showText } from "./message-text.js";
import { renameDays, showSince, showWhen } from "./message-time.js";

const NAMES = { "❤️": "Heart", "👍": "Thumbs up", "👎": "Thumbs down", "😂": "Laughter" };

export class MessageList {
  own; // the uid whose messages stand at the right
  #list;
  #items = new Map(); // row's key -> li
  #rows = new WeakMap(); // li -> row
  #today = "";

  constructor(list) {
    this.#list = list;
  }

  /** The message that the element shows; its `id` is null while the server has not confirmed it. */
  entryOf(item) {
    return this.#rows.get(item).entry;
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
  }

  /** `focused`: the message that has the focus, if any. Where it goes, a neighbour gets it. */
  render(rows, focused) {
    const keys = new Set(rows.map(({ key }) => key));
    const isLost = focused && !keys.has(this.#rows.get(focused).key);
    const neighbour = isLost ? this.#neighbour(focused, keys) : null;
    this.#removeAllBut(keys);
    this.#detachFirst(rows[0]);
    let place = this.#list.firstElementChild;
    for (const row of rows) {
      const item = this.#itemOf(row);
      if (item === place) place = place.nextElementSibling;
      else this.#list.insertBefore(item, place);
    }
    if (isLost) this.#focusInstead(neighbour);
    this.#renameDays();
  }

  #renameDays() {
    const today = new Date().toDateString();
    if (today !== this.#today) renameDays(this.#list);
    this.#today = today;
  }

  #removeAllBut(keys) {
    for (const [key, item] of this.#items) {
      if (keys.has(key)) continue;
      item.remove();
      this.#items.delete(key);
    }
  }

  /**
   * Where older ones come before the first message, the day and name above it go. Its text stays
   * where it was, but the browser would count that as a shift: not of what it lays out anew.
   */
  #detachFirst(row) {
    const first = this.#list.firstElementChild;
    if (!first || first === this.#items.get(row?.key)) return;
    if (!first.contains(focusNear(first))) first.remove();
  }

  #neighbour(item, keys) {
    const stays = (each) => each.matches(".message") && keys.has(this.#rows.get(each).key);
    const all = [...this.#list.children];
    const index = all.indexOf(item);
    return all.slice(index).find(stays) ?? all.slice(0, index).findLast(stays);
  }

  #focusInstead(neighbour) {
    const last = [...this.#list.children].findLast((each) => each.matches(".message"));
    const target = neighbour ?? last ?? this.#list.parentElement;
    if (target === this.#list.parentElement) target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  #itemOf(row) {
    const item = this.#items.get(row.key) ?? this.#make(row);
    if (row.kind === "message") this.#update(item, row);
    this.#rows.set(item, row);
    return item;
  }

  #make({ key, kind, entry, isOwn }) {
    const item = kind === "message" ? makeMessage(entry, isOwn) : fill(`${kind}-template`, {});
    this.#items.set(key, item);
    return item;
  }

  #update(item, row) {
    const before = this.#rows.get(item);
    item.classList.toggle("first", row.isFirst);
    item.classList.toggle("last", row.isLast);
    item.classList.toggle("waiting", row.fate !== null);
    if (before?.entry !== row.entry) this.#showEntry(item, row.entry, before?.entry);
    if (!before || !Object.is(before.after, row.after)) showSince(item, row.after, row.entry.time);
    if (before?.fate || row.fate) showFate(item, row.fate);
  }

  #showEntry(item, entry, before) {
    if (!before || before.time !== entry.time) showWhen(item, entry.time);
    if (entry.reactions.size || before?.reactions.size) this.#showReactions(item, entry);
  }

  #showReactions(item, { reactions }) {
    const chips = item.querySelector(".chips") ?? item.appendChild(make("div", "chips"));
    const focused = focusNear(chips);
    const chosen = chips.contains(focused) && focused.dataset;
    chips.replaceChildren(...[...reactions].map((each) => this.#chip(item, ...each)));
    if (chosen) this.#refocus(item, chosen.reaction);
    if (!reactions.size) chips.remove();
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
    const label = `${NAMES[reaction] ?? reaction}, ${uids.size}: ${namesOf(uids)}`;
    chip.setAttribute("aria-label", label);
    return chip;
  }

  /** The chip that had the focus is there anew, or is gone: then its message has it. */
  #refocus(item, reaction) {
    const chips = [...item.querySelectorAll(".chip")];
    (chips.find((chip) => chip.dataset.reaction === reaction) ?? item).focus();
  }
}

function makeMessage({ uid, text }, isOwn) {
  const item = fill("message-template", {
    ".sender": nameOf(uid),
    ".disc": nameOf(uid).slice(0, 1).toUpperCase(),
  });
  showText(item.querySelector(".bubble"), text);
  item.classList.toggle("own", isOwn);
  item.dataset.sender = uid;
  return item;
}

/** What becomes of a message that the server has not confirmed; null: it has. */
function showFate(item, fate) {
  let element = item.querySelector(".fate");
  if (!fate?.words) return element?.remove();
  element ??= item.appendChild(fill("fate-template", {}));
  item.dataset.state = fate.state;
  const isFailed = fate.state === "failed";
  const words = element.querySelector(".fate-words");
  words.setAttribute("role", isFailed ? "alert" : "none");
  if (words.textContent !== fate.words) words.textContent = fate.words; // else read out again
  for (const button of element.querySelectorAll("button")) button.dataset.key = fate.key;
  element.querySelector(".fate-actions").hidden = !isFailed;
}

function make(name, className) {
  return Object.assign(document.createElement(name), { className });
}

// One person's window: shows what the conversation says, and tells it what the person does.
// Events, which bubble: "news" (a message of somebody else arrived), "summary" (detail:
// {state, line}: the connection's state, and what is newest, in words), "trouble" (detail: a
// sentence), "reopen" (there is no session to try again with).

import { Conversation } from "../model/conversation.js";
import { nameOf, namesOf } from "../model/people.js";
import { isChat } from "../model/rows.js";
import { Kept, Owned, ofTab } from "../model/storage.js";
import { NOT_OPEN, PHASES } from "../model/words.js";
import { Announcer } from "./announcer.js";
import { focusNear } from "./focus-near.js";

const TOUCH = matchMedia("(pointer: coarse)");

export class ChatWindow extends HTMLElement {
  #conversation = null;
  #announcer;
  #newest = null; // the last message
  #left = new AbortController(); // the page

  connectedCallback() {
    const notice = this.querySelector(".notice");
    const name = this.querySelector("h2").textContent;
    this.#announcer = new Announcer(this.querySelector(".announcer"), name);
    this.addEventListener("click", ({ target }) => this.#clicked(target));
    this.#log.addEventListener("react", ({ detail: { entry, reaction } }) =>
      this.#conversation.reacting.choose(entry, reaction),
    );
    this.#log.addEventListener("left", () => this.#composer.focus());
    this.#composer.addEventListener("send", (event) => this.#send(event));
    this.#composer.addEventListener("typed", ({ detail }) => this.#conversation?.typed(detail));
    const { signal } = this.#left;
    addEventListener("pagehide", () => this.#conversation?.sending.release(), { signal });
    new ResizeObserver(() => this.#log.pushDown(notice.offsetHeight)).observe(notice);
    for (const type of ["online", "offline"]) {
      addEventListener(type, () => this.showPhase(), { signal });
    }
  }

  disconnectedCallback() {
    this.#left.abort();
  }

  get uid() {
    return this.dataset.uid;
  }

  /** The id of the newest message, if there is one. */
  get newestId() {
    return this.#newest?.id;
  }

  /**
   * @param {string} id under which drafts, and what waits, are kept
   * @param {import("../model/connection.js").Connection} connection closed with the window
   */
  open(id, connection) {
    this.#openDraft(id);
    this.#close();
    const kept = new Owned(ofTab, `hotsock-chat-outbox:${id}:${this.uid}`);
    const conversation = new Conversation({ uid: this.uid, connection, kept });
    this.#conversation = conversation;
    this.#listen(conversation);
    this.#log.open(conversation, this.uid);
    this.showPhase();
  }

  /** There is no session yet: what is written meanwhile is for the one that is wanted, if any. */
  wait(wanted = "") {
    this.#close();
    this.#composer.open(this.#draftOf(wanted));
  }

  /** Still none, for the reason that the words tell. */
  fail(words) {
    this.#show("failed", words);
  }

  #close() {
    this.#conversation?.close();
    this.#conversation = null;
    this.#newest = null;
    this.#log.close();
    this.#show("connecting");
    this.#showTyping([]);
  }

  get #log() {
    return this.querySelector("message-log");
  }

  get #composer() {
    return this.querySelector("message-composer");
  }

  #listen(conversation) {
    const on = (type, act) =>
      conversation.addEventListener(type, ({ detail }) => {
        if (conversation === this.#conversation) act(detail);
      });
    on("phase", () => this.showPhase());
    on("typing", () => this.#showTyping(conversation.typingUids));
    on("trouble", (words) => this.#tell("trouble", words));
    on("arrived", ({ uid }) => uid !== this.uid && this.#tell("news"));
    on("changed", () => this.#showNewest(conversation.timeline));
  }

  /** A draft written before there was a session goes along to the one that came. */
  #openDraft(id) {
    if (this.#conversation) this.#composer.open(this.#draftOf(id));
    else this.#composer.moveTo(this.#draftOf(id));
  }

  #draftOf(id) {
    return new Kept(ofTab, `hotsock-chat-draft:${id}:${this.uid}`);
  }

  #send(event) {
    if (!this.#conversation) {
      event.preventDefault();
      return this.#composer.say(NOT_OPEN);
    }
    this.#conversation.sending.send(event.detail);
    this.#log.toEnd();
  }

  #clicked(target) {
    if (!target.closest('[data-action="retry"]')) return;
    if (!this.#conversation) this.#tell("reopen");
    else this.#conversation.retry();
  }

  /** Says where the connection stands. */
  showPhase() {
    if (this.#conversation) this.#show(this.#conversation.phase, this.#conversation.notice);
  }

  #show(phase, notice) {
    const isNews = this.dataset.phase !== phase;
    this.dataset.phase = phase;
    this.querySelector(".state-word").textContent = PHASES[phase];
    this.#showNotice(notice ?? "");
    if (isNews) this.#announcer.say(notice ?? PHASES[phase]);
    this.#summarize();
  }

  #showNotice(words) {
    const notice = this.querySelector(".notice");
    const isLeft = !words && notice.contains(focusNear(notice));
    if (isLeft && !TOUCH.matches) this.#composer.focus(); // a finger would get a keyboard
    notice.hidden = !words;
    notice.querySelector("p").textContent = words;
  }

  #showTyping(uids) {
    const line = this.querySelector(".typing");
    line.toggleAttribute("data-shown", uids.length > 0);
    if (uids.length) {
      line.querySelector(".typing-words").textContent = typingWords(uids);
      this.#announcer.mention(typingWords(uids));
    }
    this.#summarize();
  }

  #showNewest({ entries, hasNewer }) {
    const entry = hasNewer ? this.#newest : (entries.findLast(isChat) ?? null);
    if (entry === this.#newest) return;
    this.#newest = entry;
    this.#summarize();
  }

  /** For whoever sees only the tab of this window. */
  #summarize() {
    const uids = this.#conversation?.typingUids ?? [];
    const state = PHASES[this.dataset.phase];
    const line = uids.length ? typingWords(uids) : lineOf(this.#newest, this.uid);
    this.#tell("summary", { state, line: line ?? state });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true }));
  }
}

const typingWords = (uids) => `${namesOf(uids)} ${uids.length === 1 ? "is" : "are"} typing…`;

const LINE = 200; // UTF-16 units: more than a tab has room for

/** The message in one line, and whose it is. */
function lineOf(entry, own) {
  if (!entry) return null;
  const text = entry.text.slice(0, LINE).replace(/\s+/gu, " ");
  return `${entry.uid === own ? "You" : nameOf(entry.uid)}: ${text}`;
}

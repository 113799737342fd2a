// One person's window: shows what the conversation says, and tells it what the person does.
// Events, which bubble: "news" (detail: how many messages of others arrived), "summary" (detail:
// {state, line}: the connection's state, and what is newest, in words), "trouble" (detail: a
// sentence), "reopen" (there is no session to try again with).

import { Connection } from "../model/connection.js";
import { Conversation } from "../model/conversation.js";
import { Inside } from "../model/inside.js";
import { nameOf, namesOf } from "../model/people.js";
import { isChat } from "../model/rows.js";
import { Kept, Owned, ofTab } from "../model/storage.js";
import { DRAFT_KEPT, KEPT, NOT_OPEN, PHASES, SWITCHED_OFF, TRYING } from "../model/words.js";
import { Announcer } from "./announcer.js";
import { offerInside } from "./inside-button.js";

const TOUCH = matchMedia("(pointer: coarse)");

export class ChatWindow extends HTMLElement {
  #conversation = null;
  #announcer;
  #newest = null; // the last message
  #inside = new Inside();

  connectedCallback() {
    const notice = this.querySelector(".notice");
    this.#announcer = new Announcer(this.querySelector(".announcer"), nameOf(this.uid));
    this.addEventListener("click", ({ target }) => this.#clicked(target));
    this.#log.addEventListener("react", ({ detail: { entry, reaction } }) =>
      this.#conversation.reacting.choose(entry, reaction),
    );
    this.#log.addEventListener("left", () => this.#composer.focus());
    this.#composer.addEventListener("send", (event) => this.#send(event));
    this.#composer.addEventListener("typed", ({ detail }) => this.#conversation?.typed(detail));
    addEventListener("pagehide", () => this.#conversation?.sending.release());
    new ResizeObserver(() => this.#log.pushDown(notice.offsetHeight)).observe(notice);
    for (const type of ["online", "offline"]) addEventListener(type, () => this.#showPhase());
    this.#inside.addEventListener("switched", () => this.#switched());
    offerInside(this, this.#inside, (words) => this.#tell("trouble", words));
  }

  get uid() {
    return this.dataset.uid;
  }

  open(session, api, createClient) {
    const { id, channel } = session;
    this.#openDraft(id);
    this.#close();
    const inside = this.#inside;
    inside.chat = { channel, messageId: () => this.#newest?.id };
    const token = api.tokens(session, this.uid);
    const connection = new Connection({
      channel,
      token: async () => inside.sees(await token()),
      createClient: (options) => inside.watch(createClient(options)),
      isOnline: () => navigator.onLine && !inside.isOffline,
    });
    const kept = new Owned(ofTab, `hotsock-chat-outbox:${id}:${this.uid}`);
    const conversation = new Conversation({ uid: this.uid, connection, kept });
    this.#conversation = conversation;
    this.#listen(conversation);
    this.#log.open(conversation, this.uid);
    this.#showPhase();
  }

  /** There is no session yet: what is written meanwhile is for the one that is wanted, if any. */
  wait(wanted = "") {
    this.#close();
    this.#composer.open(this.#draftOf(wanted));
  }

  /** Still none, for the reason that the words tell. */
  fail(words) {
    this.#show("failed", `${words} ${TRYING} ${DRAFT_KEPT}`);
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
    on("phase", () => this.#showPhase());
    on("typing", () => this.#showTyping(conversation.typingUids));
    on("trouble", (words) => this.#tell("trouble", words));
    on("arrived", ({ uid }) => uid !== this.uid && this.#tell("news", 1));
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
    else if (this.#inside.isOffline) this.#inside.setOffline(false);
    else this.#conversation.retry();
  }

  #showPhase() {
    if (!this.#conversation) return;
    const notice = this.#inside.isOffline ? `${SWITCHED_OFF} ${KEPT}` : this.#conversation.notice;
    this.#show(this.#conversation.phase, notice);
  }

  #switched() {
    const words = this.#inside.isOffline ? "Go online" : "Try again";
    this.querySelector('.notice [data-action="retry"]').textContent = words;
    this.#showPhase();
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
    const isLeft = !words && notice.contains(document.activeElement);
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

// The page around the two windows: which session they are in, New chat, Copy link, How it works.

import { Opening } from "../model/opening.js";
import { HotsockClient } from "../../client/index.js";
import { copyText } from "./clipboard.js";
import { Api, ApiError } from "../model/api.js";
import { keepSession, wantedSession } from "../model/session.js";
import { keepInSight } from "./visible-height.js";
import { countInTitle } from "./unread-title.js";
import { offerInside } from "./inside-button.js";
import { Connection, offlineWords } from "../model/connection.js";
import {
  DRAFT_KEPT, LINK_NOT_VALID, NOT_LOADED, NO_LINK, SWITCHED_OFF, TRYING,
} from "../model/words.js";

const TOAST_MS = 8000;

export class ChatDemo extends HTMLElement {
  #api = new Api(location.href);
  #opening = new Opening(this.#api);
  #session = null;
  #asked = 0; // counts: only the last one asked for may open
  #toastTimer;
  #how = null; // the dialog, once it is wanted

  #actions = {
    copy: () => this.#copyLink(),
    new: () => this.#newChat(),
    how: () => this.#explain(),
  };

  connectedCallback() {
    for (const button of this.querySelectorAll(".bar [data-action]")) {
      button.addEventListener("click", () => this.#actions[button.dataset.action]());
    }
    this.addEventListener("trouble", ({ detail }) => this.#say(detail));
    this.addEventListener("news", ({ target }) => this.#tabs.count(target.uid));
    this.addEventListener("summary", ({ target, detail }) =>
      this.#tabs.summarize(target.uid, detail),
    );
    for (const each of this.#windows) {
      each.inside = offerInside(each, (words) => this.#say(words));
    }
    countInTitle(this);
    this.addEventListener("reopen", () => this.#opening.retry());
    // Whatever it has in hand may have gone out meanwhile from another page of this tab.
    addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
    addEventListener("hashchange", () => this.#openWanted());
    keepInSight(this);
    this.#openWanted();
  }

  get #windows() {
    return this.querySelectorAll("chat-window");
  }

  get #tabs() {
    return this.querySelector("window-tabs");
  }

  /** The session that the address asks for; where that is none, the server makes one. */
  async #openWanted() {
    const wanted = wantedSession();
    if (this.#session && wanted === this.#session.id) return keepSession(wanted);
    this.#asked += 1;
    this.#enter(null);
    for (const each of this.#windows) each.wait(wanted);
    const session = await this.#opening.ask(wanted, (words) => {
      for (const each of this.#windows) each.fail(`${words} ${TRYING} ${DRAFT_KEPT}`);
    });
    if (!session) return;
    this.#open(session);
    if (wanted && session.id !== wanted) this.#say(LINK_NOT_VALID);
  }

  async #newChat() {
    const turn = ++this.#asked;
    try {
      const session = await this.#api.session();
      if (turn !== this.#asked) return;
      this.#opening.stop();
      this.#open(session);
      this.#say("This is a new chat. The Back button leads to the one before.");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (turn === this.#asked) this.#say(`No new chat: ${error.message}`);
    }
  }

  #open(session) {
    keepSession(session.id, this.#session !== null);
    this.#enter(session);
    this.#tabs.reset();
    for (const each of this.#windows) each.open(session.id, connect(each, session, this.#api));
  }

  #enter(session) {
    this.#session = session;
    this.querySelector(".session").hidden = !session;
    this.querySelector(".session code").textContent = session?.id ?? "";
  }

  async #copyLink() {
    if (!this.#session) return this.#say(NO_LINK);
    const isCopied = await copyText(location.href);
    if (isCopied) this.#say("The link is copied. Whoever opens it is in this chat.");
    else this.#say("This browser does not let the page copy. The link is this page’s address.");
  }

  async #explain() {
    this.#how ??= import("./how-it-works.js").then(({ addDialog }) => addDialog(this));
    try {
      const dialog = await this.#how;
      if (!dialog.open) dialog.showModal();
    } catch (error) {
      this.#how = null;
      if (!(error instanceof TypeError)) throw error; // the module did not come
      this.#say(NOT_LOADED);
    }
  }

  #say(words) {
    const toast = this.querySelector(".toast");
    clearTimeout(this.#toastTimer);
    toast.textContent = words;
    this.#toastTimer = setTimeout(() => toast.replaceChildren(), TOAST_MS);
  }
}

/** The connection of a window, which the reader may look into. */
function connect(window, session, api) {
  const { inside, uid } = window;
  const { channel } = session;
  inside.chat = { channel, messageId: () => window.newestId };
  const token = api.tokens(session, uid);
  return new Connection({
    channel,
    token: async () => inside.sees(await token()),
    createClient: (options) => inside.watch(createClient(options)),
    offline: () => (inside.isOffline ? SWITCHED_OFF : offlineWords()),
  });
}

const createClient = (options) => {
  const { websocket } = document.querySelector("chat-demo").dataset;
  return new HotsockClient(new URL(websocket, location.href), options);
};

// A chat window for the user who is logged in, in a shadow tree that the template tag has made. Its
// attributes: `channel`, `uid`, `websocket` and `token` (addresses), `csrf`, `readonly`. Without
// `uid` nobody is logged in, and there is no connection.

import { fillFrom } from "../demo/elements/fill.js";
import { Faces } from "./faces.js";
import { RoomClient } from "./room-client.js";
import { RoomConnection } from "./room-connection.js";
import { Refusal, askToken } from "./token.js";

const TOAST_MS = 8000;

export class ChatRoom extends HTMLElement {
  #fresh = null; // a window that was never used: one that comes back to the page begins anew
  #faces;
  #connection = null;
  #toastTimer;

  connectedCallback() {
    if (!this.shadowRoot) this.#attach();
    if (!this.hasAttribute("uid")) return;
    if (this.#fresh) this.#window.replaceWith(this.#fresh);
    this.#fresh = this.#window.cloneNode(true);
    fillFrom(this.shadowRoot);
    this.#faces = new Faces(this.#window);
    this.#listen(this.#window);
    queueMicrotask(() => this.#begin()); // the one whose place it takes leaves first
  }

  disconnectedCallback() {
    this.#connection = null;
    if (this.#fresh) this.#window.wait(this.#channel);
  }

  /** Where the browser has not: HTML that a script put into the page. */
  #attach() {
    const template = this.querySelector("template");
    if (!template) throw new Error("a chat-room is made by {% chat_room %}");
    this.attachShadow({ mode: "open" }).append(template.content);
    template.remove();
  }

  get #window() {
    return this.shadowRoot.querySelector("chat-window");
  }

  get #channel() {
    return this.getAttribute("channel");
  }

  #listen(window) {
    window.addEventListener("reopen", () => this.#open());
    window.addEventListener("trouble", ({ detail }) => this.#say(detail));
    const hear = (event) => window.hasAttribute("data-mute") && event.stopPropagation();
    window.addEventListener("react", hear, { capture: true }); // before the window hears it
  }

  #begin() {
    if (this.isConnected && !this.#connection) this.#open();
  }

  #open() {
    const [address, uid] = ["websocket", "uid"].map((name) => this.getAttribute(name));
    const channel = this.#channel;
    this.#window.wait(channel);
    this.#window.toggleAttribute("data-refused", false);
    const connection = new RoomConnection({
      channel,
      token: () => this.#token(connection),
      createClient: (options) => new RoomClient(address, uid, channel, options),
      faces: this.#faces,
    });
    this.#connection = connection;
    this.#window.open(channel, connection);
  }

  async #token(connection) {
    try {
      const { token, ...may } = await askToken(this);
      if (connection === this.#connection) this.#allow(connection, may);
      return token;
    } catch (error) {
      if (error instanceof Refusal && connection === this.#connection) this.#refuse(error.message);
      throw error;
    }
  }

  #allow(connection, { mayWrite, mayType, reactions }) {
    const picker = this.#window.querySelector("reaction-picker");
    connection.mayType = mayType;
    this.#window.toggleAttribute("data-readonly", !mayWrite);
    this.#window.toggleAttribute("data-mute", reactions !== true && !reactions.length);
    if (reactions !== true && reactions.length) offer(picker, reactions);
  }

  /** Nobody tries again by themselves: only the reader may. */
  #refuse(words) {
    this.#connection = null;
    this.#window.wait(this.#channel);
    this.#window.toggleAttribute("data-refused", true);
    this.#window.fail(words);
  }

  #say(words) {
    const toast = this.shadowRoot.querySelector(".toast");
    clearTimeout(this.#toastTimer);
    toast.textContent = words;
    this.#toastTimer = setTimeout(() => toast.replaceChildren(), TOAST_MS);
  }
}

const MOST_REACTIONS = 6;

/** The reactions that the picker shows. Those of the template have names. */
function offer(picker, reactions) {
  const [pattern, ...others] = picker.children;
  const named = new Map([pattern, ...others].map((each) => [each.dataset.reaction, each]));
  const buttons = reactions.slice(0, MOST_REACTIONS).map((reaction) => {
    const button = named.get(reaction) ?? pattern.cloneNode(true);
    if (button.dataset.reaction === reaction) return button;
    button.dataset.reaction = reaction;
    button.setAttribute("aria-label", `React with ${reaction}`);
    button.firstElementChild.textContent = reaction;
    return button;
  });
  picker.replaceChildren(...buttons);
}

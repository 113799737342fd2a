// The token that a window connected with last, each claim and directive in words.

import { readToken } from "../model/inside-token.js";

export class InsideToken extends HTMLElement {
  #inside;
  #shown = null;

  set(inside) {
    this.#inside = inside;
    inside.addEventListener("entry", () => !this.hidden && this.#render());
  }

  show(isShown) {
    if (isShown) this.#render();
  }

  #render() {
    const { token } = this.#inside;
    if (token === this.#shown) return;
    this.#shown = token;
    const read = readToken(token);
    this.querySelector(".inside-lead").textContent = read ? leadWords(read.header) : NONE;
    this.querySelector("dl").replaceChildren(...(read?.items ?? []).flatMap(rowOf));
    this.querySelector("pre").textContent = read ? JSON.stringify(read.claims, null, 2) : "";
  }
}

const NONE = "There is no token that can be read.";

const leadWords = ({ alg }) =>
  `Whoever has this token may do this, and nothing else. The page gets a new one for each ` +
  `connection. It is signed (${alg}), so that nobody can change it; the signature is not shown.`;

function rowOf({ name, value, words }) {
  const term = document.createElement("dt");
  term.append(code(name), " ", code(value));
  return [term, Object.assign(document.createElement("dd"), { textContent: words })];
}

const code = (text) => Object.assign(document.createElement("code"), { textContent: text });

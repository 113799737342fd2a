// The text of a message in its bubble: text nodes and links, nothing else.

import { isEmojiOnly } from "../model/emoji.js";
import { linksIn } from "../model/links.js";

export function showText(bubble, text) {
  bubble.classList.toggle("emoji", isEmojiOnly(text));
  bubble.replaceChildren(...linksIn(text).map((piece) => (piece.href ? anchor(piece) : piece)));
}

function anchor({ text, href }) {
  const link = document.createElement("a");
  link.textContent = text;
  link.href = href;
  link.rel = "noopener noreferrer";
  if (!href.startsWith("mailto:")) link.target = "_blank";
  return link;
}

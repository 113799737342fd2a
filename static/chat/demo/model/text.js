// What may become a message. Pure.

import { TOO_LONG } from "./words.js";

const MAX_BYTES = 32 * 1024; // as JSON in UTF-8 (protocol.md section 2)

/**
 * @param {string} typed
 * @returns {{text: string, problem?: string}} trimmed, but several lines keep their indentation;
 *   "" is nothing to send. Halves of surrogate pairs and NUL are no text that the server can keep
 *   (protocol.md section 2)
 */
export function readMessage(typed) {
  const whole = (typed.toWellFormed?.() ?? typed).replaceAll("\0", "");
  const text = trimmed(whole);
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
  return bytes > MAX_BYTES ? { text, problem: TOO_LONG } : { text };
}

/** Without blanks around it. Of several lines the first keeps its place above the others. */
function trimmed(whole) {
  const text = whole.trim();
  if (!text.includes("\n")) return text;
  const start = whole.slice(0, whole.length - whole.trimStart().length);
  return start.slice(start.lastIndexOf("\n") + 1) + text;
}

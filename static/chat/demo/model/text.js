// What may become a message. Pure.

import { TOO_LONG } from "./words.js";

const MAX_BYTES = 32 * 1024; // as JSON in UTF-8 (protocol.md section 2)

/**
 * @param {string} typed
 * @returns {{text: string, problem?: string}} trimmed; "" is nothing to send. Halves of surrogate
 *   pairs and NUL are no text that the server can keep (protocol.md section 2)
 */
export function readMessage(typed) {
  const text = (typed.toWellFormed?.() ?? typed).replaceAll("\0", "").trim();
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
  return bytes > MAX_BYTES ? { text, problem: TOO_LONG } : { text };
}

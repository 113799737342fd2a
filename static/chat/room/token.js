// Asks the project for a connect token to one channel, and what it allows there
// (docs/django-templates.md). What fails is an ApiError whose message is a sentence for people.

import { ApiError } from "../demo/model/api.js";
import { UNREACHABLE, UNREADABLE, statusWords } from "../demo/model/words.js";

const PATIENCE = 15_000; // ms: a server that takes longer counts as out of reach
const NOBODY = "Sign in to read and write here.";
const DENIED = "You may not read this chat.";
const STALE = "This page is too old to be trusted. Reload it.";
const NO_RULES = "This site has no rules for its chats.";

/** Asking again gives the same answer, until the reader does something about it. */
export class Refusal extends ApiError {}

/**
 * @param {HTMLElement} room with its attributes
 * @returns {Promise<{token: string, mayWrite: boolean, mayType: boolean,
 *   reactions: true | string[]}>}
 */
export async function askToken(room) {
  const response = await answer(room);
  const { status } = response;
  const body = await response.json().catch((error) => {
    if (error instanceof SyntaxError) return null;
    throw new ApiError(UNREACHABLE, 0); // it broke off
  });
  if (response.ok && body) return body;
  if (status === 401) throw new Refusal(NOBODY, status);
  if (status === 403) throw new Refusal(body?.error ? DENIED : STALE, status);
  if (status === 404) throw new Refusal(NO_RULES, status);
  throw new ApiError(response.ok ? UNREADABLE : statusWords(status), status);
}

async function answer(room) {
  try {
    return await fetch(room.getAttribute("token"), {
      method: "POST",
      headers: { "X-CSRFToken": room.getAttribute("csrf") },
      body: new URLSearchParams({ channel: room.getAttribute("channel") }),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw new ApiError(UNREACHABLE, 0); // of whatever kind: fetch does not tell
  }
}

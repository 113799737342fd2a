// The page's HTTP calls: the demo's tokens (protocol.md section 18).
// What fails is an ApiError whose message is a sentence for people.

import { UNREACHABLE, UNREADABLE, statusWords } from "./words.js";

const PATIENCE = 15_000; // ms: a server that takes longer counts as out of reach

export class ApiError extends Error {
  /** `status` is 0 where no answer came. */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Api {
  #base;
  #fetch;

  constructor(base, fetch = globalThis.fetch.bind(globalThis)) {
    this.#base = base;
    this.#fetch = fetch;
  }

  /** The session `id`, or another where it is missing or no such id: the answer says which. */
  async session(id, signal) {
    const body = { sessionId: id, uid: "jim" };
    const { sessionId, channel, jim, pam } = await this.#post("tokens", body, signal);
    return { id: sessionId, channel, people: { jim, pam } };
  }

  /** Gives connect tokens: the one that came with the session, then a fresh one each time. */
  tokens({ id, people }, uid) {
    const unused = [people[uid]?.token];
    return async () => unused.pop() ?? this.#token(id, uid);
  }

  async #token(sessionId, uid) {
    return (await this.#post("tokens", { sessionId, uid })).token;
  }

  async #post(path, body, signal) {
    const response = await this.#answer(path, body, signal);
    if (!response.ok) throw new ApiError(statusWords(response.status), response.status);
    return response.json().catch((error) => {
      if (error instanceof SyntaxError) throw new ApiError(UNREADABLE, response.status);
      throw error;
    });
  }

  async #answer(path, body, signal = new AbortController().signal) {
    try {
      return await this.#fetch(new URL(path, this.#base), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        credentials: "omit",
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new ApiError(UNREACHABLE, 0);
    }
  }
}

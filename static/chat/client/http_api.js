// The client HTTP API (protocol.md section 14), called with the credentials of the connection.

import { deadline } from "./deadline.js";
import { isObject } from "./frames.js";

const PATIENCE_MS = 15_000; // a server that takes longer counts as out of reach

/** Why there is no answer: a refusal, or none came. */
export class HttpError extends Error {
  name = "HttpError";

  /**
   * @param {number} status 0 where no answer came
   * @param {string} [code] of protocol.md section 17, where the server gave one
   * @param {unknown} [cause]
   */
  constructor(message, status, code, cause) {
    super(message, { cause });
    this.status = status;
    this.code = code;
  }
}

export class HttpApi {
  #base;
  #credentials;

  /**
   * @param {URL} address of the WebSocket; the API is beside it
   * @param {string | URL | null} httpUrl where the API is elsewhere
   * @param {function(): ?object} credentials of the connection; null while there is none
   */
  constructor(address, httpUrl, credentials) {
    this.#base = new URL(httpUrl ?? address, globalThis.location?.href);
    this.#base.protocol = this.#base.protocol.replace(/^ws/, "http");
    this.#base.pathname = this.#base.pathname.replace(/\/(v1\/?)?$/, "/");
    this.#base.search = "";
    this.#credentials = credentials;
  }

  /**
   * @param {object} body of listMessages
   * @param {AbortSignal[]} signals give it up
   * @returns {Promise<import("./history.js").Message[]>} a page
   * @throws {HttpError}
   */
  async listMessages(body, signals) {
    const answer = await this.#post("listMessages", body, signals);
    if (Array.isArray(answer?.messages) && answer.messages.every(isMessage)) return answer.messages;
    throw new HttpError("listMessages answered without messages", 200);
  }

  async #post(operation, body, signals) {
    const { signal, release } = deadline(PATIENCE_MS, signals);
    try {
      const response = await this.#fetch(operation, body, signal);
      const answer = await readBody(response);
      if (response.ok) return answer;
      throw refusal(operation, response.status, answer?.error);
    } finally {
      release();
    }
  }

  async #fetch(operation, body, signal) {
    const url = this.#url(operation);
    // As text/plain, for which a browser asks no leave first; without cookies.
    const request = { method: "POST", body: JSON.stringify(body), credentials: "omit", signal };
    try {
      return await globalThis.fetch(url, request);
    } catch (cause) {
      throw new HttpError("the server is out of reach", 0, undefined, cause);
    }
  }

  #url(operation) {
    const credentials = this.#credentials();
    if (credentials === null) throw new HttpError("not connected", 0);
    const { connectionId, connectionSecret } = credentials;
    const url = new URL(`connection/${operation}`, this.#base);
    url.search = new URLSearchParams({ connectionId, connectionSecret });
    return url;
  }
}

/** Null where a refusal is no JSON, as a proxy's is; what else cannot be read has broken off. */
async function readBody(response) {
  try {
    return await response.json();
  } catch (cause) {
    if (!response.ok && cause instanceof SyntaxError) return null;
    throw new HttpError("the answer broke off", 0, undefined, cause);
  }
}

function refusal(operation, status, error) {
  const { code, message } = isObject(error) ? error : {};
  return new HttpError(message ?? `${operation} was refused`, status, code);
}

const isMessage = (message) => isObject(message) && typeof message.id === "string";

// The client HTTP API, answered by the test.

import { settle } from "./harness.js";

export class FakeHistory {
  requests = []; // {url, body, signal}, those that wait for an answer
  asked = []; // bodies, of all so far

  /** Takes the place of fetch() for one test. */
  constructor(t) {
    t.mock.method(globalThis, "fetch", (url, { body, signal }) => {
      this.asked.push(JSON.parse(body));
      return new Promise((resolve, reject) => {
        this.requests.push({ url: new URL(url), body: this.asked.at(-1), signal, resolve, reject });
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    });
  }

  /** Answers the oldest request with these messages. */
  async answer(messages) {
    await this.#end("resolve", { ok: true, status: 200, json: async () => ({ messages }) });
  }

  async refuse(status, code) {
    const json = async () => ({ error: { code, message: "No." } });
    await this.#end("resolve", { ok: false, status, json });
  }

  /** No answer comes. */
  async fail() {
    await this.#end("reject", new TypeError("fetch failed"));
  }

  /** An answer of this status begins; its body fails. */
  async breakOff(status, error = new TypeError("network error")) {
    const json = () => Promise.reject(error);
    await this.#end("resolve", { ok: status < 300, status, json });
  }

  /** An answer begins, and its body never ends. */
  async stall() {
    await settle();
    const [{ signal }] = this.requests;
    const json = () =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await this.#end("resolve", { ok: true, status: 200, json });
  }

  async #end(how, outcome) {
    await settle();
    this.requests.shift()[how](outcome);
    await settle();
  }
}

/** Stored messages of these numbers, which are their positions as well. */
export const messages = (...numbers) => numbers.map((number) => message(number));

export function message(number, fields = {}) {
  const id = idOf(number);
  const data = `message ${number}`;
  return { id, event: "chat", channel: "c", data, position: number, reactions: {}, ...fields };
}

export const idOf = (number) => `01J${String(number).padStart(23, "0")}`;

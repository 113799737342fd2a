// One window from the inside: the newest frames of its client, the token that it connected with, and
// the switch that keeps it offline. It gathers from the start, so that who looks later sees what
// was. Secrets are masked where they are shown: inside-mask.js. No DOM. Events: "entry" (one was
// added, old ones may be gone), "switched".

import { newAck } from "../../client/acknowledgement.js";

const MAX_ENTRIES = 500;
const MAX_BYTES = 256 * 1024;
const MAX_LENGTH = 64 * 1024; // UTF-16 units of one frame; the rest of a longer one is not kept
const TRIAL = "look-inside-";

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

/** Whether an answer with this `ack` is about a frame that was sent to be refused. */
export const isTrial = (ack) => String(ack).startsWith(TRIAL);

/** What failed in the client's own eyes, and is no end of a connection. */
const TOLD = new Set(["SOCKET_FAILED", "SOCKET_SILENT", "HANDSHAKE_TIMEOUT", "INVALID_FRAME"]);

/**
 * @typedef {object} Entry
 * @property {number} number counts up
 * @property {number} time ms since 1970, by this device
 * @property {"in" | "out" | "opened" | "closed" | "failed"} kind
 * @property {string} text the frame; code and reason of a close; why something failed
 * @property {number} size bytes of the frame
 */

export class Inside extends EventTarget {
  /** @type {Entry[]} the oldest first: at most 500, of at most 256 KiB */
  entries = [];
  token = null;
  isOffline = false;
  /** {channel, messageId()} of what the window shows: the id of its newest message, if any. */
  chat = null;
  #client = null;
  #count = 0;
  #bytes = 0;

  /** Gathers what this client sends and receives; returns it. One client after another. */
  watch(client) {
    this.#client = client;
    if (this.isOffline) client.suspend();
    client.bind("@@message", ({ data }) => this.#add("in", data));
    client.bind("@@messageSent", (text) => this.#add("out", text));
    client.bind("@@connect", () => this.#add("opened", ""));
    client.bind("@@disconnect", ({ code, reason }) => this.#add("closed", `${code} ${reason}`));
    client.bind("@@error", ({ code, message }) => {
      if (TOLD.has(code)) this.#add("failed", message);
    });
    return client;
  }

  /** The client is about to connect with this token; returns it. */
  sees(token) {
    this.token = token;
    return token;
  }

  /** Whether a frame would go out at once. */
  get isLive() {
    return Boolean(this.#client?.activeConnection);
  }

  /** Ends the connection and keeps it ended, also for the clients to come; or lets it return. */
  setOffline(isOffline) {
    this.isOffline = isOffline;
    if (isOffline) this.#client?.suspend();
    else this.#client?.resume();
    this.dispatchEvent(new Event("switched"));
  }

  /** Sends a frame that the server is to refuse. Returns the `ack` that its answer has. */
  try(frame) {
    const ack = TRIAL + newAck();
    this.#client.sendRawMessage(JSON.stringify({ ...frame, ack }));
    return ack;
  }

  #add(kind, data) {
    const whole = typeof data === "string" ? data : "";
    const size = typeof data === "string" ? bytesOf(data) : (data.size ?? data.byteLength);
    const text = whole.slice(0, MAX_LENGTH);
    this.entries.push({ number: ++this.#count, time: Date.now(), kind, text, size });
    this.#bytes += bytesOf(text);
    while (this.entries.length > MAX_ENTRIES || this.#bytes > MAX_BYTES) {
      this.#bytes -= bytesOf(this.entries.shift().text);
    }
    this.dispatchEvent(new Event("entry"));
  }
}

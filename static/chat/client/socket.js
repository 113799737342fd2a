// One WebSocket: its handshake up to `hotsock.connected`, its frames, its silence, its end. Once it
// has ended or was abandoned, its listener hears nothing more of it: late events of an old socket
// cannot disturb its successor.

import { ClientError, ErrorCode } from "./errors.js";
import { decode, isObject } from "./frames.js";
import { Liveness } from "./liveness.js";

const HANDSHAKE_MS = 5000; // protocol.md section 6.2; from construction on
const OPEN = 1; // WebSocket.OPEN
const NORMAL = 1000;
const ABNORMAL = 1006;

/**
 * @typedef {object} SocketListener
 * @property {function(Event): void} opened
 * @property {function(MessageEvent): void} received each message, frame or not
 * @property {function(object, ?string): void} established with the credentials and our uid; before
 *   that frame itself
 * @property {function(import("./frames.js").Frame): void} frame
 * @property {function(string): void} sent
 * @property {function(ClientError): void} failed
 * @property {function({code: number, reason: string}): void} ended
 */

const ignore = () => {};
const DEAF = Object.freeze({
  opened: ignore,
  received: ignore,
  established: ignore,
  frame: ignore,
  sent: ignore,
  failed: ignore,
  ended: ignore,
});

export class Socket {
  #webSocket;
  #listener;
  #liveness;
  #handshakeTimer;
  #opened = false;
  #established = false;

  /**
   * @param {WebSocket} webSocket that has just been made
   * @param {number} heartbeatSeconds 0: no heartbeats
   * @param {SocketListener} listener
   */
  constructor(webSocket, heartbeatSeconds, listener) {
    this.#webSocket = webSocket;
    this.#listener = listener;
    this.#liveness = new Liveness(heartbeatSeconds, {
      send: (text) => this.send(text),
      dead: () => this.#giveUp(ErrorCode.SOCKET_SILENT, "a ping was not answered within 5 s"),
    });
    this.#handshakeTimer = setTimeout(() => {
      this.#giveUp(ErrorCode.HANDSHAKE_TIMEOUT, "no hotsock.connected within 5 s");
    }, HANDSHAKE_MS);
    this.#listen(this.#webSocket);
  }

  /** Whether it was ever open. */
  get opened() {
    return this.#opened;
  }

  /** Where it is writable; otherwise nothing happens. */
  send(text) {
    if (!this.writable) return;
    this.#webSocket.send(text);
    this.#listener.sent(text);
  }

  /** @returns {boolean} not before `hotsock.connected`, and not any more once closing begins */
  get writable() {
    return this.#established && this.#webSocket.readyState === OPEN;
  }

  /** Pings where that makes sense. */
  probe() {
    if (this.#established) this.#liveness.probe();
  }

  /** Ends it as a broken connection, where it was established. */
  lose(reason) {
    if (this.#established) this.#break(reason);
  }

  /** Closes it without waiting for its end: on a dead network that takes a minute. */
  abandon() {
    this.#end();
    this.#webSocket.close(NORMAL); // of the codes below 3000 a browser may send only this one
  }

  #listen(webSocket) {
    webSocket.addEventListener("open", (event) => this.#open(event));
    webSocket.addEventListener("message", (event) => this.#received(event));
    webSocket.addEventListener("error", (event) => {
      this.#fail(ErrorCode.SOCKET_FAILED, "the WebSocket failed or was refused", event);
    });
    webSocket.addEventListener("close", (event) => this.#end().ended(event));
  }

  #open(event) {
    this.#opened = true;
    this.#listener.opened(event);
  }

  #received(event) {
    if (this.#established) this.#liveness.heard();
    this.#listener.received(event);
    if (this.#listener === DEAF) return; // that call closed us
    const frame = decode(event.data);
    if (frame === null) return this.#fail(ErrorCode.INVALID_FRAME, "received what is no frame");
    if (frame.event === "hotsock.connected") this.#establish(frame);
    this.#listener.frame(frame);
  }

  #establish({ data, meta }) {
    if (this.#established || !isObject(data)) return;
    const { connectionId, connectionSecret, connectionExpiresAt } = data;
    if (typeof connectionId !== "string" || typeof connectionSecret !== "string") return;
    clearTimeout(this.#handshakeTimer);
    this.#established = true;
    this.#liveness.start();
    const uid = isObject(meta) ? (meta.uid ?? null) : null;
    this.#listener.established({ connectionId, connectionSecret, connectionExpiresAt }, uid);
  }

  #giveUp(code, reason) {
    this.#fail(code, reason);
    this.#break(reason);
  }

  #break(reason) {
    const listener = this.#listener; // deaf by now if a callback closed us
    this.abandon();
    listener.ended({ type: "close", code: ABNORMAL, reason, wasClean: false });
  }

  #fail(code, message, cause) {
    this.#listener.failed(new ClientError(code, message, { cause }));
  }

  /** @returns {SocketListener} whoever listened until now */
  #end() {
    const listener = this.#listener;
    clearTimeout(this.#handshakeTimer);
    this.#liveness.stop();
    this.#established = false;
    this.#listener = DEAF;
    return listener;
  }
}

// A client's connection through all its sockets: asks for a token, opens a socket, and begins again
// after each end. Knows nothing of channels and messages. A transition is complete before anyone is
// told of it, so that a callback may call back.

import { ClientError, ErrorCode } from "./errors.js";
import { Pace } from "./pace.js";
import { Socket } from "./socket.js";
import { CONNECTS_FROM } from "./states.js";
import { TokenRequest, heartbeatSeconds } from "./token.js";
import { isVisible } from "./wakeups.js";

const TOKEN_PATIENCE_MS = 5000; // while the page is visible: then it is asked for once more
const STABLE_MS = 10_000; // only a connection that lasted makes earlier failures forgotten

export class Connection {
  uid = null; // our own, on the connection that was established last
  #address;
  #options;
  #listener;
  #state = "idle";
  #tokenRequest = new TokenRequest();
  #socket = null;
  #active = null;
  #wasConnected = false;
  #timer; // while waiting: the next try; without a token: to ask again; connected: until stable
  #pace;

  /**
   * @param {URL} address
   * @param {import("./options.js").Options} options
   * @param {object} listener a SocketListener (`ended`: of sockets that had opened) that also has
   *   `tokenless(ClientError)`
   */
  constructor(address, options, listener) {
    this.#address = address;
    this.#options = options;
    this.#listener = listener;
    this.#pace = new Pace(options.connectTokenFnMaxAttempts);
  }

  /** @returns {import("./states.js").ConnectionState} */
  get state() {
    return this.#state;
  }

  get active() {
    return this.#active;
  }

  get writable() {
    return this.#socket?.writable ?? false;
  }

  send(text) {
    this.#socket?.send(text);
  }

  /** @param {"need" | "retry" | "wakeup" | "resume"} cause */
  connect(cause) {
    if (!CONNECTS_FROM[cause].has(this.#state)) return;
    if (cause === "resume") this.#pace.resetToken();
    this.#enter("connecting");
    this.#tokenRequest.start(
      this.#options.connectTokenFn,
      undefined,
      (token) => this.#openSocket(token),
      (error) => this.#tokenFailed(error),
    );
    this.#askAgainLater();
  }

  /** The network is back or somebody looks: no more waiting, and no trust in a silent socket. */
  wake() {
    this.#tokenRequest.askAgain();
    this.connect("wakeup");
    this.#socket?.probe();
  }

  /** The network is gone: so is what was connected, whatever the socket says. */
  lose() {
    this.#socket?.lose("the network is gone");
  }

  /** @param {"suspended" | "terminated"} state */
  close(state) {
    if (this.#state === state || this.#state === "terminated") return;
    const socket = this.#socket;
    this.#enter(state);
    socket?.abandon();
    if (socket?.opened) {
      this.#listener.ended({ type: "close", code: 1000, reason: state, wasClean: true });
    }
  }

  #enter(state) {
    clearTimeout(this.#timer);
    this.#state = state;
    this.#tokenRequest.abandon();
    this.#socket = null;
    this.#active = null;
  }

  #askAgainLater() {
    this.#timer = setTimeout(() => {
      if (isVisible()) this.#tokenRequest.askAgain();
      this.#askAgainLater();
    }, TOKEN_PATIENCE_MS);
  }

  #retryIn(delay) {
    this.#enter("waiting");
    this.#timer = setTimeout(() => this.connect("retry"), delay);
  }

  #tokenFailed(cause) {
    const delay = this.#pace.tokenFailed();
    if (delay !== null) return this.#retryIn(delay);
    this.#giveUpToken();
    const message = "connectTokenFn gave no token";
    this.#listener.tokenless(new ClientError(ErrorCode.CONNECT_TOKEN_FAILED, message, { cause }));
  }

  // Once it was connected, a token was to be had: it is away as the server is, and comes back too.
  #giveUpToken() {
    if (!this.#wasConnected) return this.#enter("stopped");
    this.#pace.resetToken();
    this.#retryIn(this.#pace.failed());
  }

  #openSocket(token) {
    clearTimeout(this.#timer);
    this.#pace.resetToken();
    const address = new URL(this.#address);
    address.searchParams.set("token", token);
    const listener = {
      ...this.#listener,
      established: (active, uid) => this.#established(active, uid),
      ended: (event) => this.#ended(event),
    };
    const WebSocket = this.#options.WebSocket ?? globalThis.WebSocket;
    try {
      const webSocket = new WebSocket(address.href);
      this.#socket = new Socket(webSocket, heartbeatSeconds(token, this.#options), listener);
    } catch (cause) {
      this.#retryIn(this.#pace.failed());
      const message = "the WebSocket could not be made";
      this.#listener.failed(new ClientError(ErrorCode.SOCKET_FAILED, message, { cause }));
    }
  }

  #established(active, uid) {
    this.uid = uid;
    this.#state = "connected";
    this.#wasConnected = true;
    this.#active = Object.freeze(active);
    this.#timer = setTimeout(() => this.#pace.reset(), STABLE_MS);
    this.#listener.established();
  }

  #ended(event) {
    const { opened } = this.#socket;
    this.#retryIn(this.#pace.closed(event.code, this.#state === "connected"));
    if (opened) this.#listener.ended(event);
  }
}

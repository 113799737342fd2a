// One channel's subscription: keeps what is subscribed equal to what is bound. One request is under
// way at most; its answer is compared with what is wanted by then.

import { Asks } from "./asks.js";
import { Backoff } from "./backoff.js";
import { ClientError, ErrorCode } from "./errors.js";
import { encode } from "./frames.js";
import { Membership } from "./membership.js";
import { Sessions } from "./session.js";
import { HAS_SESSION, SUBSCRIBING } from "./states.js";
import { TokenRequest } from "./token.js";

const MAX_TOKEN_ATTEMPTS = 3; // to get a subscribe token that the server accepts

// Refusals after which asking again makes sense, and how (protocol.md section 17).
const TRIES_AGAIN = new Map([
  ["INVALID_SUBSCRIBE_TOKEN", "withAnotherToken"],
  ["RATE_LIMITED", "later"],
  ["SERVICE_UNAVAILABLE", "later"],
]);

let requests = 0;

export class Subscription {
  /** @type {import("./states.js").SubscriptionState} */
  status = "none";
  requestNumber = 0; // of the request without an answer, the later the higher; 0: there is none
  membership = new Membership();
  subscribeTokenFn = null;
  asks = new Asks();
  sessions = new Sessions();
  #joining = []; // calls of those who came while it was leaving
  #calls;
  #tokenRequest = new TokenRequest();
  #timer;
  #backoffs = { withAnotherToken: new Backoff(MAX_TOKEN_ATTEMPTS), later: new Backoff() };

  /**
   * @param {string} name
   * @param {object} calls
   * @param {function(string): boolean} calls.isBound
   * @param {function(): (string | undefined)} calls.connectionId undefined: not connected
   * @param {function(string): void} calls.send
   * @param {function(): void} calls.flush sends the messages that need wait no longer
   * @param {function(string): void} calls.drop reports and forgets the messages for a channel
   * @param {function(ClientError): void} calls.report
   */
  constructor(name, calls) {
    this.name = name;
    this.#calls = calls;
  }

  /** Whether a message for the channel should wait. */
  get isAwaited() {
    return SUBSCRIBING.has(this.status) && this.#isBound;
  }

  get #isBound() {
    return this.#calls.isBound(this.name);
  }

  connected() {
    this.asks.connected();
    this.#startAfresh();
  }

  disconnected() {
    this.answered();
    this.#enter("none");
  }

  /** Somebody bound to the channel. */
  bound() {
    if (this.status === "none" || this.status === "refused") this.#startAfresh();
  }

  /**
   * Ends a subscription that lacks what is asked for by now, and makes it again from where it was.
   */
  renew() {
    const isIdle = this.status === "subscribed" && this.requestNumber === 0;
    if (!isIdle || !this.#isBound || !this.asks.lackOccupancy) return;
    this.asks.resume(this.sessions.current);
    this.#leave();
  }

  /** The last binding has gone, and who asked for anything with it. */
  released() {
    this.asks.clear();
    if (this.status === "subscribed") this.#leave();
    else if (this.status === "preparing" || this.status === "refused") this.#enter("none");
    this.#calls.flush();
  }

  answered() {
    this.requestNumber = 0;
  }

  /**
   * The server says that we are subscribed, for whatever reason.
   * @param {unknown} [data] of hotsock.subscribed; absent: it had said so before
   */
  confirmed(data) {
    if (this.status === "leaving") return; // said before the server saw our request
    const isAnswer = this.status === "pending"; // else the token or the application asked for it
    this.#enter("subscribed");
    if (data !== undefined || !this.sessions.current) this.sessions.begin(data);
    if (isAnswer) this.asks.answered();
    this.#calls.flush();
    if (isAnswer && this.status === "subscribed" && !this.#isBound) this.#leave();
    this.renew();
  }

  /** The server says that we are not, or no longer. */
  ended() {
    if (this.status === "pending") return; // said before the server saw our request
    this.membership = new Membership();
    this.#joining = [];
    this.#startAfresh();
  }

  /** `NOT_SUBSCRIBED`: we took it for granted, or wanted to end what was not there. */
  missed() {
    if (this.status === "subscribed" || this.status === "leaving") this.ended();
  }

  /** Calls it now or, while the server has the request to end it, where that is refused. */
  whenKept(join) {
    if (this.status === "leaving") this.#joining.push(join);
    else join();
  }

  /** The server did not unsubscribe us. */
  kept() {
    if (this.status !== "leaving") return;
    this.#enter("subscribed");
    for (const join of this.#joining.splice(0)) join();
  }

  /** The server did not subscribe us; one of the codes of protocol.md section 17. */
  refused(code) {
    this.answered();
    if (this.status !== "pending") return;
    if (this.asks.denied(code)) return this.#prepare();
    const how = TRIES_AGAIN.get(code);
    const canAsk = how === "later" || (how === "withAnotherToken" && this.subscribeTokenFn);
    if (!canAsk || !this.#tryAgain(how)) this.#refuse();
  }

  #enter(status) {
    if (!HAS_SESSION.has(status)) this.sessions.end();
    clearTimeout(this.#timer);
    this.#tokenRequest.abandon();
    this.status = status;
  }

  #startAfresh() {
    this.#enter("none");
    for (const backoff of Object.values(this.#backoffs)) backoff.reset();
    this.#prepare();
  }

  #prepare() {
    const connectionId = this.#calls.connectionId();
    if (connectionId === undefined || !this.#isBound) return;
    if (!this.subscribeTokenFn) return this.#request();
    this.#enter("preparing");
    this.#tokenRequest.start(
      this.subscribeTokenFn,
      { channel: this.name, connectionId },
      (token) => this.#request(token),
      (error) => this.#tokenFailed(error),
    );
  }

  #request(token) {
    this.#enter("pending");
    this.requestNumber = ++requests;
    const data = this.asks.data(token);
    this.#calls.send(encode({ event: "hotsock.subscribe", channel: this.name, data }));
  }

  #leave() {
    this.#enter("leaving");
    this.#calls.send(encode({ event: "hotsock.unsubscribe", channel: this.name }));
  }

  #tokenFailed(cause) {
    if (this.#tryAgain("withAnotherToken")) return;
    const details = { cause, channel: this.name };
    const message = "subscribeTokenFn gave no token";
    this.#calls.report(new ClientError(ErrorCode.SUBSCRIBE_TOKEN_FAILED, message, details));
    this.#refuse();
  }

  #refuse() {
    this.#enter("refused");
    this.#calls.drop(this.name);
    const details = { channel: this.name };
    this.sessions.refuse(
      new ClientError(ErrorCode.SUBSCRIBE_REFUSED, "the channel refused us", details),
    );
  }

  /** @returns {boolean} false: it was tried often enough */
  #tryAgain(how) {
    const delay = this.#backoffs[how].next();
    if (delay === null) return false;
    this.#enter("preparing");
    this.#timer = setTimeout(() => this.#prepare(), delay);
    return true;
  }
}

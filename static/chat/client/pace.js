// How long to wait before the next try to connect: by what the server said last, and by whether
// somebody looks at the page.

import { Backoff } from "./backoff.js";
import { isVisible } from "./wakeups.js";

const VISIBLE_CEILING_MS = 5000; // whatever failed before

// Try again later, revoked, reads too slowly, sends too fast (protocol.md section 17): the server
// refuses who returns from these at once (section 6.9). After any other close, at once is right.
const UNHURRIED_CLOSES = new Set([1013, 4403, 4410, 4429]);

// The server spreads its closes over a second or more; a proxy that restarts closes all at once.
const RESTARTING = 1012;
const RESTART_JITTER_MS = 500;

/** Waits are in milliseconds. */
export class Pace {
  #backoff = new Backoff();
  #tokenBackoff;
  #isUnhurried = false; // the server wants it so, until a connection lasts

  /** @param {number} maxTokenAttempts in a row */
  constructor(maxTokenAttempts) {
    this.#tokenBackoff = new Backoff(maxTokenAttempts);
  }

  /** A socket could not be made, or there were no more attempts to get a token. */
  failed() {
    return this.#next(this.#backoff);
  }

  /**
   * A socket has ended.
   * @param {number} code of the close
   * @param {boolean} wasConnected
   */
  closed(code, wasConnected) {
    if (UNHURRIED_CLOSES.has(code)) this.#isUnhurried = true;
    const jitter = code === RESTARTING ? Math.random() * RESTART_JITTER_MS : 0;
    return this.#next(this.#backoff, wasConnected && !this.#isUnhurried) + jitter;
  }

  /** @returns {?number} null: no attempt to get a token is left */
  tokenFailed() {
    return this.#next(this.#tokenBackoff);
  }

  /** There is a token, or the attempts to get one are counted anew. */
  resetToken() {
    this.#tokenBackoff.reset();
  }

  /** A connection has lasted: earlier failures are forgotten. */
  reset() {
    this.#backoff.reset();
    this.#isUnhurried = false;
  }

  #next(backoff, atOnce = false) {
    const isHurried = isVisible() && !this.#isUnhurried;
    return backoff.next({ atOnce, ceilingMs: isHurried ? VISIBLE_CEILING_MS : undefined });
  }
}

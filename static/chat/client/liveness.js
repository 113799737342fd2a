// Whether an established connection still is one, and the heartbeats that the server may ask for.
// A browser shows no WebSocket ping, and a lost network closes nothing: so silence is probed.

import { HEARTBEAT, PING } from "./frames.js";
import { isVisible } from "./wakeups.js";

// A dead network is noticed within 35 s, while somebody looks within 10 s. The pings also keep a
// healthy connection from idling out (600 s, protocol.md section 6.4), which would cost a new
// handshake.
const QUIET_MS = 30_000;
const VISIBLE_QUIET_MS = 4500;
const PONG_MS = 5000;

const HEARTBEAT_JITTER = 0.1; // up to a tenth earlier than the interval, never later

export class Liveness {
  #heartbeatMs;
  #send;
  #dead;
  #quietTimer;
  #heartbeatTimer;
  #probing;

  /**
   * @param {number} heartbeatSeconds 0: no heartbeats
   * @param {{send: function(string): void, dead: function(): void}} calls
   */
  constructor(heartbeatSeconds, { send, dead }) {
    this.#heartbeatMs = heartbeatSeconds * 1000;
    this.#send = send;
    this.#dead = dead;
  }

  start() {
    this.heard();
    if (this.#heartbeatMs > 0) this.#scheduleHeartbeat();
  }

  /** Any frame is a sign of life. */
  heard() {
    this.#probing = false;
    this.#setQuietTimer(() => this.probe(), isVisible() ? VISIBLE_QUIET_MS : QUIET_MS);
  }

  /** Pings now, unless a ping waits for its answer already. */
  probe() {
    if (this.#probing) return;
    this.#probing = true;
    this.#setQuietTimer(this.#dead, PONG_MS);
    this.#send(PING);
  }

  stop() {
    clearTimeout(this.#quietTimer);
    clearTimeout(this.#heartbeatTimer);
  }

  #setQuietTimer(act, delay) {
    clearTimeout(this.#quietTimer);
    this.#quietTimer = setTimeout(act, delay);
  }

  #scheduleHeartbeat() {
    const delay = this.#heartbeatMs * (1 - HEARTBEAT_JITTER * Math.random());
    this.#heartbeatTimer = setTimeout(() => {
      this.#scheduleHeartbeat();
      this.#send(HEARTBEAT);
    }, delay);
  }
}

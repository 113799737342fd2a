// What a channel's subscribe frame asks for beside the channel (protocol.md sections 7 and 19). The
// frame of who asks for nothing has no data.

import { isCount } from "./options.js";

/**
 * What somebody wants of each subscription.
 * @typedef {object} Ask
 * @property {boolean} [occupancy] to hear how many subscribe
 * @property {?{position?: number, epoch?: string}} [since] to hear what changed since then
 */

export class Asks {
  #all = new Set();
  #asked = {}; // by the last request
  #isGranted = true; // occupancy, on this connection, as far as is known
  #resumed = {};

  /** @param {Ask} ask for the next request */
  add(ask) {
    this.#all.add(ask);
  }

  delete(ask) {
    this.#all.delete(ask);
  }

  clear() {
    this.#all.clear();
  }

  /** Another connection may grant more, and continues nothing. */
  connected() {
    this.#isGranted = true;
    this.#resumed = {};
  }

  /** @returns {boolean} whether occupancy is wanted and was not asked for */
  get lackOccupancy() {
    return this.#wantsOccupancy && !this.#asked.occupancy;
  }

  /** The next request continues this session, which will have ended by then. */
  resume(session) {
    this.#resumed = { since: session };
  }

  /**
   * For a request that is made now. It recovers from the earliest position.
   * @param {string} [token]
   * @returns {object | undefined}
   */
  data(token) {
    const occupancy = this.#wantsOccupancy || undefined;
    const positions = [...this.#all, this.#resumed].map(({ since }) => since);
    const { since, epoch } = (this.#asked = { ...earliest(positions), occupancy });
    const data = { token, since, epoch, occupancy };
    return Object.values(data).some((value) => value !== undefined) ? data : undefined;
  }

  /** The server did what was asked. */
  answered() {
    this.#resumed = {};
  }

  /** The server had subscribed us already: nothing that was asked for was heard. */
  unheard() {
    this.#asked = {};
  }

  /** @returns {boolean} whether that is why we were refused; the next request will not ask */
  denied(code) {
    const isReason = code === "INFO_PERMISSION_DENIED" && this.#asked.occupancy === true;
    if (isReason) this.#isGranted = false;
    return isReason;
  }

  /**
   * @param {import("./session.js").Session} session
   * @param {?{position?: number, epoch?: string}} position
   * @returns {?number} how many frames follow hotsock.subscribed that bring whoever was there up to
   *   date; null: history must be read
   */
  replayed({ data, epoch }, position) {
    const isAsked = position?.position >= this.#asked.since && position.epoch === epoch;
    return isAsked && data.recovered === true && data.replayed >= 0 ? data.replayed : null;
  }

  get #wantsOccupancy() {
    return this.#isGranted && [...this.#all].some(({ occupancy }) => occupancy);
  }
}

function earliest(positions) {
  const known = positions.filter((one) => isCount(one?.position) && typeof one.epoch === "string");
  if (known.length === 0) return {};
  const [{ epoch }] = known;
  const comparable = known.filter((one) => one.epoch === epoch);
  return { since: Math.min(...comparable.map(({ position }) => position)), epoch };
}

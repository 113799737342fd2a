// Asks the application for a token. Its function may be slow, fail or give nonsense: here all of
// that is one failure.

const TOKEN_TIMEOUT_MS = 30_000; // a fetch may hang for minutes
const HEARTBEAT_SHARE = 2 / 3; // of the time that the token allows between two

/** One request at a time: the answer to one that was abandoned or replaced reaches nobody. */
export class TokenRequest {
  #ask = null; // of the request that has no answer yet

  /**
   * @param {function(object=): (string | Promise<string>)} tokenFn
   * @param {object | undefined} details its argument
   * @param {function(string): void} given
   * @param {function(unknown): void} failed with what tokenFn threw, or an Error that says what
   *   was wrong with its answer
   */
  start(tokenFn, details, given, failed) {
    const end = (act) => (outcome) => {
      if (this.#ask !== askOnce) return;
      this.#ask = null;
      act(outcome);
    };
    const askOnce = () => ask(tokenFn, details).then(end(given), end(failed));
    this.#ask = askOnce;
    askOnce();
  }

  /** Calls tokenFn once more where it has not answered: whichever call answers first counts. */
  askAgain() {
    this.#ask?.();
  }

  abandon() {
    this.#ask = null;
  }
}

/**
 * How often to send heartbeats on a connection of this token: as the options say, or else by how
 * long the token says that the server waits for one (`heartbeatTimeout`, protocol.md section 4).
 * @param {string} token its signature is the server's to verify
 * @param {{heartbeatIntervalSeconds: ?number}} options
 * @returns {number} seconds; 0: none are wanted, or the token cannot be read
 */
export function heartbeatSeconds(token, { heartbeatIntervalSeconds }) {
  return heartbeatIntervalSeconds ?? heartbeatTimeoutOf(token) * HEARTBEAT_SHARE;
}

function heartbeatTimeoutOf(token) {
  const [, payload = ""] = token.split(".");
  try {
    const { heartbeatTimeout } = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/")));
    return heartbeatTimeout > 0 ? heartbeatTimeout : 0;
  } catch {
    return 0;
  }
}

async function ask(tokenFn, details) {
  // Not in the caller's own turn: whoever constructs a client has no client yet to refer to.
  const token = await inTime(Promise.resolve().then(() => tokenFn(details)));
  if (typeof token === "string" && token !== "") return token;
  throw new TypeError(`a token must be a string that is not empty, not ${kind(token)}`);
}

function inTime(answer) {
  let timer;
  const lateness = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no token within 30 s")), TOKEN_TIMEOUT_MS);
  });
  return Promise.race([answer, lateness]).finally(() => clearTimeout(timer));
}

function kind(value) {
  if (value === "") return "an empty one";
  return value === null ? "null" : typeof value; // never the value: it may hold the token
}

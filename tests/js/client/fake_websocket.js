// A WebSocket whose other end is the test. States and send() behave as in browsers: send() throws
// before the opening and discards silently once closing has begun; close() ends nothing by itself.

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

export class FakeWebSocket extends EventTarget {
  static instances = [];

  readyState = CONNECTING;
  sent = [];
  discarded = [];
  closedWith = null;

  constructor(url) {
    super();
    this.url = new URL(url);
    FakeWebSocket.instances.push(this);
  }

  send(text) {
    if (this.readyState === CONNECTING) throw new Error("InvalidStateError: still connecting");
    if (this.readyState === OPEN) this.sent.push(text);
    else this.discarded.push(text);
  }

  close(code) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new Error(`InvalidAccessError: close code ${code}`);
    }
    this.closedWith ??= code;
    if (this.readyState < CLOSING) this.readyState = CLOSING;
  }

  // What the server and the network do.

  open() {
    this.readyState = OPEN;
    this.#dispatch("open");
  }

  /** A frame: an object, or a text as it is. */
  say(frame) {
    this.#dispatch("message", { data: typeof frame === "object" ? JSON.stringify(frame) : frame });
  }

  /** Opens where it is not open yet, and says hotsock.connected, as the connection of that id. */
  connect(connectionId = `id-${FakeWebSocket.instances.length}`, uid = "jim") {
    if (this.readyState === CONNECTING) this.open();
    this.say({
      event: "hotsock.connected",
      data: {
        connectionId,
        connectionSecret: `secret of ${connectionId}`,
        connectionExpiresAt: "2030-01-02T03:04:05Z",
      },
      meta: { uid, umd: null },
    });
  }

  subscribed(channel, { uid = "jim", umd = null, data = {}, ...meta } = {}) {
    this.say({ event: "hotsock.subscribed", channel, data, meta: { uid, umd, ...meta } });
  }

  refuse(event, channel, code, ack) {
    const error = { code, message: "No.", event, ack };
    this.say({ event: "hotsock.error", channel, error });
  }

  acknowledge(ack, data) {
    this.say({ event: "hotsock.ack", channel: "c", data: { ack, ...data } });
  }

  /** The closing handshake ends, or the connection breaks. */
  end(code = 1006, reason = "") {
    this.readyState = CLOSED;
    this.#dispatch("close", { code, reason, wasClean: code !== 1006 });
  }

  /** The handshake is refused. */
  fail() {
    this.#dispatch("error");
    this.end(1006);
  }

  /** All frames sent, parsed. */
  get frames() {
    return this.sent.map((text) => JSON.parse(text));
  }

  #dispatch(type, fields = {}) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
}

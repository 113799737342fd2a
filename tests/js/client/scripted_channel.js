// A chat server with one channel, whose network is the test: what it says waits on the wire until
// the test delivers it, answers of history too. Numbers its changes and recovers (protocol.md
// section 19), or, where `isNumbered` is false, does neither.

const MAX_REPLAYED = 40;

export class ScriptedChannel {
  isNumbered;
  messages = []; // {id, data, position, reactions: Map of "reaction uid" -> position}
  position = 0;
  epoch = "epoch 1";
  subscribers = new Map(); // FakeWebSocket -> connection id
  wires = new Map(); // FakeWebSocket -> frames on their way
  requests = []; // of history, on their way or answered and on their way back
  canRecover = true;
  #changes = []; // {position, key, frame}
  #ids = 0;

  constructor({ isNumbered = true } = {}) {
    this.isNumbered = isNumbered;
  }

  publish(data) {
    const message = { id: this.#nextId(), data, reactions: new Map() };
    message.position = this.#change(`message ${message.id}`, onWire(message));
    this.messages.push(message);
  }

  /** Not stored, and not numbered. */
  whisper(data) {
    this.#broadcast({ event: "is-typing", channel: "c", data, id: this.#nextId() });
  }

  react(message, reaction, uid) {
    const key = `${reaction} ${uid}`;
    const action = message.reactions.has(key) ? "remove" : "add";
    const event = `hotsock.messageReaction${action === "add" ? "Added" : "Removed"}`;
    const data = { messageId: message.id, reaction, action };
    const frame = { event, channel: "c", data, meta: { uid, umd: null } };
    const position = this.#change(`reaction ${message.id} ${key}`, frame);
    if (action === "add") message.reactions.set(key, position);
    else message.reactions.delete(key);
  }

  delete(message) {
    this.messages.splice(this.messages.indexOf(message), 1);
    this.#changes = this.#changes.filter(({ key }) => !key.includes(message.id));
    const data = { messageId: message.id };
    const frame = { event: "hotsock.messageDeleted", channel: "c", data };
    this.#change(`deletion ${message.id}`, frame);
  }

  /** Members came or went. */
  skip() {
    this.position += 1;
  }

  /** The channel's row was removed with all it held, and made anew. */
  purge() {
    this.restore([]);
  }

  /** Only these messages are left, of an older state; numbers begin anew. */
  restore(messages) {
    this.messages = messages;
    this.position = messages.length;
    messages.forEach((message, index) => (message.position = index + 1));
    this.epoch = `epoch ${Number(this.epoch.slice(6)) + 1}`;
    this.#changes = [];
    this.subscribers.clear();
    this.wires.clear();
  }

  /** What a client sent. */
  receive(socket, text) {
    const { event, data = {} } = JSON.parse(text);
    if (event === "hotsock.ping") socket.say({ event: "hotsock.pong", data: "{}" });
    if (event !== "hotsock.subscribe") return;
    this.subscribers.set(socket, socket.connectionId);
    this.wires.set(socket, []);
    const missed = this.#missed(data);
    const state = this.isNumbered && { position: this.position, epoch: this.epoch };
    const recovery = data.since !== undefined &&
      this.isNumbered && { recovered: missed !== null, replayed: missed?.length };
    const meta = { uid: "jim", umd: null };
    const reply = { event: "hotsock.subscribed", channel: "c", data: { ...state, ...recovery } };
    this.wires.get(socket).push({ ...reply, meta }, ...(missed ?? []));
  }

  /** The connection breaks; what is on its way is lost. */
  cut(socket) {
    this.subscribers.delete(socket);
    this.wires.delete(socket);
  }

  /** A page as it is now; null for a connection that has ended. */
  list({ connectionId, body }) {
    if (![...this.subscribers.values()].includes(connectionId)) return null;
    const { before, after, reverse, limit = 100 } = body;
    const isInside = ({ id }) => (reverse ? !(id >= before) : !(id <= after));
    const found = this.messages.filter(isInside);
    const ordered = reverse ? found.toReversed() : found;
    return ordered.slice(0, limit).map((message) => this.#listed(message));
  }

  #missed({ since, epoch }) {
    if (!this.isNumbered || !this.canRecover) return null;
    if (since === undefined || epoch !== this.epoch || since > this.position) return null;
    const changes = this.#changes.filter(({ position }) => position > since);
    return changes.length > MAX_REPLAYED ? null : changes.map(({ frame }) => frame);
  }

  #nextId() {
    this.#ids += 1;
    return `01J${String(this.#ids).padStart(23, "0")}`;
  }

  // Of one thing, the last change counts.
  #change(key, frame) {
    this.position += 1;
    const numbered = this.isNumbered ? { ...frame, position: this.position } : frame;
    const others = this.#changes.filter((change) => change.key !== key);
    this.#changes = [...others, { position: this.position, key, frame: numbered }];
    this.#broadcast(numbered);
    return this.position;
  }

  #broadcast(frame) {
    for (const socket of this.subscribers.keys()) this.wires.get(socket).push(frame);
  }

  #listed(message) {
    const reactions = {};
    for (const key of message.reactions.keys()) {
      const [reaction, uid] = key.split(" ");
      reactions[reaction] ??= { items: [] };
      reactions[reaction].items.push({ uid });
    }
    for (const one of Object.values(reactions)) one.count = one.items.length;
    const position = this.isNumbered ? { position: message.position } : {};
    return { ...onWire(message), ...position, reactions };
  }
}

const onWire = ({ id, data }) => ({ id, event: "chat", channel: "c", data });

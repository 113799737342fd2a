// Wires connection, subscriptions, outbox and bindings together: what one of them says, the others
// hear. The state is theirs.

import { Bindings } from "./bindings.js";
import { call } from "./callback.js";
import { Connection } from "./connection.js";
import { ClientError, ErrorCode } from "./errors.js";
import { Logger } from "./logger.js";
import { Outbox } from "./outbox.js";
import { Subscriptions } from "./subscriptions.js";
import { listenForWakeups } from "./wakeups.js";

export class Core {
  connection;
  subscriptions;
  bindings = new Bindings((error) => this.report(error));
  address;
  httpUrl;
  #outbox;
  #logger;
  #tokenErrorFn;
  #stopListening;

  /**
   * @param {URL} address
   * @param {import("./options.js").Options} options
   */
  constructor(address, options) {
    this.#logger = new Logger(options.logLevel);
    this.#tokenErrorFn = options.connectTokenErrorFn;
    this.connection = new Connection(address, options, this.#connectionListener());
    this.address = address;
    this.httpUrl = options.httpUrl;
    this.subscriptions = new Subscriptions({
      isBound: (name) => this.bindings.has(name),
      connectionId: () => this.connection.active?.connectionId,
      send: (text) => this.connection.send(text),
      flush: () => this.#outbox.flush(),
      drop: (name) => this.#outbox.drop(name),
      report: (error) => this.report(error),
    });
    this.#outbox = new Outbox(options.sendTimeoutSeconds * 1000, {
      isWritable: () => this.connection.writable,
      send: (text) => this.connection.send(text),
      mustWait: (name) => this.subscriptions.isAwaited(name),
      uidIn: (name) => this.subscriptions.uidIn(name) ?? this.connection.uid,
      lost: (message, code, why) => this.#lost(message, code, why),
    });
    this.#stopListening = listenForWakeups(
      () => this.connection.wake(),
      () => this.connection.lose(),
    );
    if (!options.lazyConnection) this.connection.connect("need");
  }

  /** A binding was added. */
  bound({ channel }) {
    if (channel === null) return;
    this.subscriptions.named(channel.name).bound();
    this.connection.connect("need");
  }

  /** Bindings may have been removed. */
  released(channelName) {
    if (channelName === undefined || this.bindings.has(channelName)) return;
    this.subscriptions.named(channelName).released();
  }

  /**
   * @param {import("./outbox.js").Message} message
   * @returns {Promise<import("./acknowledgement.js").Outcome>}
   */
  send(message) {
    this.connection.connect("need");
    return this.#outbox.add(message);
  }

  /** Whether what is sent to the channel need not wait. */
  isReady(channelName) {
    return this.connection.writable && !this.subscriptions.isAwaited(channelName);
  }

  terminate() {
    this.connection.close("terminated");
    this.#outbox.terminate();
    this.bindings.clear();
    this.subscriptions.terminated();
    this.#stopListening();
  }

  /** To the log and to `@@error`, but for the failure of a callback that was bound to that. */
  report(error) {
    const { code, message, cause, event } = error;
    const isCallback = code === ErrorCode.CALLBACK_FAILED;
    const isTelling = isCallback || cause instanceof Error; // a WebSocket's event holds its token
    this.#logger[isCallback ? "error" : "warn"](code, message, isTelling ? cause : "");
    if (!isCallback || event !== "@@error") this.bindings.emit("@@error", error);
  }

  /** Whether it is too late for a call; says so, since nothing else would. */
  isTerminated(name) {
    const isTerminated = this.connection.state === "terminated";
    if (isTerminated) this.#logger.warn(`${name}() does nothing: the client was terminated`);
    return isTerminated;
  }

  #connectionListener() {
    const emit = (event) => (value) => this.bindings.emit(event, value);
    return {
      opened: emit("@@connect"),
      received: emit("@@message"),
      sent: emit("@@messageSent"),
      failed: (error) => this.report(error),
      established: () => this.#established(),
      frame: (frame) => this.#received(frame),
      ended: (event) => this.#ended(event),
      tokenless: (error) => this.#tokenless(error),
    };
  }

  #established() {
    this.#logger.info("connected");
    this.subscriptions.connected();
    this.#outbox.flush();
  }

  #received(frame) {
    this.#logger.debug("received", frame.event, frame.channel ?? "");
    this.subscriptions.receive(frame);
    this.#outbox.receive(frame);
    this.bindings.dispatch(frame, this.subscriptions.namesOf(frame.channel));
  }

  #ended(event) {
    this.#logger.info("disconnected", event.code, event.reason);
    this.subscriptions.disconnected();
    this.#outbox.disconnected(event.code);
    this.bindings.emit("@@disconnect", event);
  }

  #tokenless(error) {
    call(this.#tokenErrorFn, error, (cause) => {
      const details = { cause, event: "connectTokenErrorFn" };
      this.report(
        new ClientError(ErrorCode.CALLBACK_FAILED, "connectTokenErrorFn failed", details),
      );
    });
    this.report(error);
  }

  #lost({ channel, event, data }, code, why) {
    const details = { channel, event, data };
    this.report(new ClientError(code, `a message was dropped: ${why}`, details));
  }
}

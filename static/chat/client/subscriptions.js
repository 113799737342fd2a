// All channels that the application has named, and which of them a frame is about. The server
// speaks of real names, the application perhaps of an alias (protocol.md section 5).

import { ClientError, ErrorCode } from "./errors.js";
import { isObject } from "./frames.js";
import { Subscription } from "./subscription.js";

export class Subscriptions {
  #calls;
  #byName = new Map();
  #byRealName = new Map(); // of those with an alias, on this connection

  #readers = new Map([
    ["hotsock.subscribed", (frame) => this.#subscribed(frame)],
    ["hotsock.unsubscribed", ({ channel }) => this.#each(channel, (one) => one.ended())],
    [
      "hotsock.umdUpdated",
      (frame) => this.#each(frame.channel, (one) => one.membership.readSelf(frame)),
    ],
    ["hotsock.memberAdded", (frame) => this.#membersChanged(frame)],
    ["hotsock.memberUpdated", (frame) => this.#membersChanged(frame)],
    ["hotsock.memberRemoved", (frame) => this.#membersChanged(frame)],
    ["hotsock.error", (frame) => this.#failed(frame)],
  ]);

  /** @param {object} calls as of Subscription */
  constructor(calls) {
    this.#calls = calls;
  }

  /** @returns {Subscription} the one of that name, made where there is none */
  named(name) {
    const known = this.#byName.get(name);
    if (known) return known;
    const made = new Subscription(name, this.#calls);
    this.#byName.set(name, made);
    return made;
  }

  /** @returns {boolean} whether a message for the channel should wait for its subscription */
  isAwaited(name) {
    return this.#byName.get(name)?.isAwaited ?? false;
  }

  /** @returns {string | null | undefined} our own uid in it; undefined: not subscribed */
  uidIn(name) {
    const one = this.#byName.get(name);
    return one?.status === "subscribed" ? one.membership.uid : undefined;
  }

  /** @returns {string[]} what a channel may be called in bindings */
  namesOf(realName) {
    return this.#known(realName).map(({ name }) => name);
  }

  connected() {
    for (const one of this.#byName.values()) one.connected();
  }

  disconnected() {
    this.#byRealName.clear();
    for (const one of this.#byName.values()) one.disconnected();
  }

  terminated() {
    const error = new ClientError(ErrorCode.SUBSCRIBE_REFUSED, "the client was terminated");
    for (const { sessions } of this.#byName.values()) sessions.close(error);
  }

  /** @param {import("./frames.js").Frame} frame any */
  receive(frame) {
    if (frame.position !== undefined) this.#advance(frame);
    this.#readers.get(frame.event)?.(frame);
  }

  #advance({ channel, position }) {
    this.#each(channel, ({ sessions }) => sessions.current?.advance(position));
  }

  #known(realName) {
    const found = [this.#byName.get(realName), this.#byRealName.get(realName)];
    return found.filter((one) => one !== undefined);
  }

  #each(realName, act) {
    for (const one of this.#known(realName)) act(one);
  }

  #subscribed(frame) {
    const { channel, data, meta } = frame;
    if (typeof channel !== "string") return;
    const alias = isObject(meta) ? meta.channelAlias : undefined;
    this.#learn(channel, this.named(typeof alias === "string" ? alias : channel));
    const isAnswer = !isObject(data) || data.autoSubscribed !== true;
    this.#each(channel, (one) => {
      if (isAnswer) one.answered();
      one.membership.readSelf(frame);
      one.membership.readMembers(frame);
      one.confirmed(data ?? {});
    });
  }

  #membersChanged(frame) {
    this.#each(frame.channel, (one) => one.membership.readMembers(frame));
  }

  // `hotsock.error` names the channel as we did (protocol.md section 17), but for one code.
  #failed({ channel, error }) {
    if (!isObject(error)) return;
    const one = this.#byName.get(channel);
    if (error.code === "ALREADY_SUBSCRIBED") this.#alreadySubscribed(channel);
    else if (error.event === "hotsock.subscribe") one?.refused(error.code);
    else if (error.code === "NOT_SUBSCRIBED") one?.missed();
    else if (error.event === "hotsock.unsubscribe") one?.kept();
  }

  // Carries the real name. Where no request of that name is without an answer, an alias was sent:
  // that of the oldest request, since they are answered in their order (section 6.8).
  #alreadySubscribed(realName) {
    const unanswered = this.#unanswered();
    const known = this.#known(realName);
    const asked = unanswered.find((one) => known.includes(one)) ?? unanswered[0];
    asked?.answered();
    asked?.asks.unheard();
    this.#learn(realName, asked);
    this.#each(realName, (one) => one.confirmed());
  }

  #unanswered() {
    const requests = [...this.#byName.values()].filter((one) => one.requestNumber > 0);
    return requests.toSorted((one, other) => one.requestNumber - other.requestNumber);
  }

  #learn(realName, one) {
    if (one && one.name !== realName) this.#byRealName.set(realName, one);
  }
}

// What a room sees of the one client that all rooms of a page share. Each room's token opens the
// connection or, where it is open, lets that room in; each asks for its own, with each connection.

import { HotsockClient } from "../client/index.js";

const pages = new Map(); // address and uid -> Page

/** The rooms of one connection. */
class Page {
  client;
  rooms = new Map(); // channel -> RoomClient
  #key;

  constructor(key, address, options) {
    this.#key = key;
    const connectTokenFn = () => this.#token();
    this.client = new HotsockClient(address, { ...options, connectTokenFn });
  }

  leave(channel) {
    this.rooms.delete(channel);
    if (this.rooms.size) return;
    this.client.terminate();
    if (pages.get(this.#key) === this) pages.delete(this.#key);
  }

  /** All rooms ask at once; those that the connection was not opened for come in with theirs. */
  async #token() {
    await Promise.resolve(); // until all rooms of the page are there
    const rooms = [...this.rooms.values()];
    const answers = await Promise.allSettled(rooms.map((room) => room.ask()));
    const given = answers.find(({ status }) => status === "fulfilled");
    if (!given) throw answers[0]?.reason ?? new Error("all rooms have left");
    return given.value;
  }
}

export class RoomClient {
  #page;
  #channel;
  #askToken;
  #kept = null; // the room's token, until it is used
  #bindings = [];

  /**
   * @param {string} address of the WebSocket
   * @param {string} uid whose tokens the rooms have
   * @param {string} channel
   * @param {object} options of a HotsockClient
   */
  constructor(address, uid, channel, { connectTokenFn, ...options }) {
    const key = `${uid} ${address}`;
    const page = pages.get(key);
    const isTaken = page?.rooms.has(channel); // the same room twice has two connections
    this.#page = page && !isTaken ? page : new Page(key, address, options);
    if (!isTaken) pages.set(key, this.#page);
    this.#page.rooms.set(channel, this);
    this.#askToken = connectTokenFn;
    this.#channel = this.#page.client.channels(channel);
    this.#channel.subscribeTokenFn = () => this.#use();
  }

  /** Gives the room's token, which is kept to come in with. */
  async ask() {
    return (this.#kept = await this.#askToken());
  }

  async #use() {
    const token = this.#kept ?? (await this.#askToken());
    this.#kept = null;
    return token;
  }

  get activeConnection() {
    return this.#page.client.activeConnection;
  }

  channels(name) {
    return this.#page.client.channels(name);
  }

  /** Of the errors, hears its own and those of the connection. */
  bind(event, callback) {
    const isOurs = ({ channel = this.#channel.name }) => channel === this.#channel.name;
    const hear = (value) => (event !== "@@error" || isOurs(value)) && callback(value);
    this.#bindings.push(this.#page.client.bind(event, hear));
  }

  suspend() {
    this.#page.client.suspend();
  }

  resume() {
    this.#page.client.resume();
  }

  /** Leaves; with the last room the connection ends. */
  terminate() {
    for (const binding of this.#bindings) binding.unbind();
    this.#channel.unbind();
    this.#page.leave(this.#channel.name);
  }
}

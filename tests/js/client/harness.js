// A client on fake sockets, fake timers and fixed chance: nothing here ever waits for real time.

import { mock } from "node:test";
import { HotsockClient } from "../../../static/chat/client/index.js";
import { FakeWebSocket } from "./fake_websocket.js";

const clients = [];

/** Lets every promise that can settle do so; setImmediate is not faked. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Passes time; what it sets going has settled by the end. */
export async function pass(milliseconds) {
  await settle();
  mock.timers.tick(milliseconds);
  await settle();
}

export const sockets = FakeWebSocket.instances;

export const newest = () => sockets.at(-1);

/**
 * Fakes sockets, timers and chance for one test, and restores them after it.
 * @param {{random?: number}} [options] what Math.random gives
 */
export function fakeWorld(t, { random = 0.5 } = {}) {
  const { WebSocket } = globalThis;
  sockets.length = 0;
  globalThis.WebSocket = FakeWebSocket;
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.UTC(2030) });
  t.mock.method(Math, "random", () => random);
  t.after(() => {
    for (const client of clients.splice(0)) client.terminate(); // else it goes on in real time
    mock.timers.reset();
    globalThis.WebSocket = WebSocket;
  });
}

/** A browser's globals, as far as the client knows them: a hidden page with a network. */
export function fakeBrowser(t) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const globals = {
    document,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  };
  Object.assign(globalThis, globals);
  t.after(() => Object.keys(globals).forEach((name) => delete globalThis[name]));
  return {
    goOnline: () => window.dispatchEvent(new Event("online")),
    goOffline: () => window.dispatchEvent(new Event("offline")),
    show: (visibilityState) => {
      document.visibilityState = visibilityState;
      document.dispatchEvent(new Event("visibilitychange"));
    },
  };
}

/** A client whose tokens are token-1, token-2, …; silent unless told otherwise. */
export function makeClient(options = {}) {
  let tokens = 0;
  const connectTokenFn = () => `token-${++tokens}`;
  const defaults = { connectTokenFn, logLevel: "silent" };
  const client = new HotsockClient("wss://chat.test/v1", { ...defaults, ...options });
  clients.push(client);
  return client;
}

/** A client that is connected; its socket is newest(). */
export async function connectedClient(options) {
  const client = makeClient(options);
  await settle();
  newest().connect();
  return client;
}

/** @returns {object[]} all that the event brings from now on */
export function listen(client, event, options) {
  const heard = [];
  client.bind(event, (value) => heard.push(value), options);
  return heard;
}

/** @returns {string[]} connects, disconnects and errors as they come, with their codes */
export function ownEvents(client) {
  const heard = [];
  for (const event of ["@@connect", "@@disconnect", "@@error"]) {
    client.bind(event, (value) => heard.push(value.code ? `${event} ${value.code}` : event));
  }
  return heard;
}

/** The frames that a socket got, in short: "event channel data". */
export function said(socket = newest()) {
  return socket.frames.map(({ event, channel, data }) => {
    const words = [event, channel, data === undefined ? undefined : JSON.stringify(data)];
    return words.filter((word) => word !== undefined).join(" ");
  });
}

/** Binds to a channel for the sake of its subscription. */
export const bindTo = (client, channel = "c", options = {}) =>
  client.bind("chat", () => {}, { channel, ...options });

/** The connection breaks, and the next one is there. */
export async function reconnect() {
  newest().end();
  await pass(1);
  newest().connect();
}

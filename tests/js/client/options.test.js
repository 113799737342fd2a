import assert from "node:assert/strict";
import { test } from "node:test";
import { HotsockClient } from "../../../static/chat/client/index.js";
import { readAddress, readOptions } from "../../../static/chat/client/options.js";

const connectTokenFn = () => "token";

test("only connectTokenFn is needed", () => {
  const { connectTokenErrorFn, ...options } = readOptions({ connectTokenFn });
  assert.equal(typeof connectTokenErrorFn, "function");
  assert.deepEqual(options, {
    connectTokenFn,
    connectTokenFnMaxAttempts: 2,
    WebSocket: null,
    heartbeatIntervalSeconds: null,
    httpUrl: null,
    lazyConnection: false,
    logLevel: "warn",
    sendTimeoutSeconds: 300,
  });
});

const GOOD = [
  ["connectTokenFnMaxAttempts", 1],
  ["connectTokenFnMaxAttempts", Infinity],
  ["heartbeatIntervalSeconds", 0],
  ["heartbeatIntervalSeconds", 1],
  ["heartbeatIntervalSeconds", 7.5],
  ["heartbeatIntervalSeconds", 600],
  ["httpUrl", "https://chat.test/"],
  ["lazyConnection", true],
  ["logLevel", "debug"],
  ["logLevel", "silent"],
];

for (const [name, value] of GOOD) {
  test(`${name} may be ${value}`, () => {
    assert.equal(readOptions({ connectTokenFn, [name]: value })[name], value);
  });
}

const BAD = [
  ["connectTokenFn", "a token"],
  ["connectTokenFnMaxAttempts", 0],
  ["connectTokenFnMaxAttempts", 1.5],
  ["connectTokenFnMaxAttempts", NaN],
  ["connectTokenFnMaxAttempts", "3"],
  ["connectTokenErrorFn", true],
  ["WebSocket", "ws"],
  ["heartbeatIntervalSeconds", -1],
  ["heartbeatIntervalSeconds", 0.5],
  ["heartbeatIntervalSeconds", 601],
  ["heartbeatIntervalSeconds", NaN],
  ["lazyConnection", "yes"],
  ["logLevel", "verbose"],
];

for (const [name, value] of BAD) {
  test(`${name} may not be ${value}`, () => {
    const options = { connectTokenFn, [name]: value };
    const expected = { name: "TypeError", message: new RegExp(`^${name} must be `) };
    assert.throws(() => readOptions(options), expected);
  });
}

for (const options of [undefined, null, {}]) {
  test(`${JSON.stringify(options)} lacks connectTokenFn`, () => {
    assert.throws(
      () => new HotsockClient("wss://chat.test/v1", options),
      /^TypeError: connectTokenFn/,
    );
  });
}

const ADDRESSES = [
  ["wss://chat.test/v1", "wss://chat.test/v1"],
  ["ws://127.0.0.1:8000/v1/", "ws://127.0.0.1:8000/v1/"],
  ["https://chat.test/v1?a=b", "wss://chat.test/v1?a=b"],
  ["http://chat.test/v1#part", "ws://chat.test/v1"],
  [new URL("wss://chat.test/v1"), "wss://chat.test/v1"],
];

for (const [given, address] of ADDRESSES) {
  test(`${given} is ${address}`, () => assert.equal(readAddress(given).href, address));
}

test("on a page an address may be relative to it", (t) => {
  globalThis.location = { href: "https://chat.test/rooms/1" };
  t.after(() => delete globalThis.location);
  assert.equal(readAddress("/v1").href, "wss://chat.test/v1");
});

for (const url of ["", "/v1", "chat.test", undefined, "ftp://chat.test/v1"]) {
  test(`${url} is no address`, () => assert.throws(() => readAddress(url), TypeError));
}

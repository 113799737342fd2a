import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, ApiError } from "../../../static/chat/demo/model/api.js";

/** An Api whose calls end up in `calls`, each answered with the next of the answers. */
function apiThatHears(...answers) {
  const calls = [];
  const api = new Api("https://chat.test/page", async (url, { method, body, headers }) => {
    calls.push({ url: String(url), method, body: JSON.parse(body), headers });
    const { status = 200, ...answer } = answers.shift();
    return new Response(answer.text ?? JSON.stringify(answer), { status });
  });
  return { api, calls };
}

test("a session is asked for by its id, and the answer says which it is", async () => {
  const { api, calls } = apiThatHears({ sessionId: "abc", channel: "chat-abc", token: "t" });
  const { id, channel } = await api.session("abc");
  assert.deepEqual([id, channel], ["abc", "chat-abc"]);
  const [{ url, method, body, headers }] = calls;
  assert.deepEqual([url, method], ["https://chat.test/tokens", "POST"]);
  assert.deepEqual(body, { sessionId: "abc", uid: "jim" });
  assert.equal(headers["content-type"], "application/json");
});

test("without an id the server makes one", async () => {
  const { api, calls } = apiThatHears({ sessionId: "new", channel: "chat-new", token: "t" });
  assert.equal((await api.session(undefined)).id, "new");
  assert.deepEqual(calls[0].body, { uid: "jim" });
});

const SESSION = { id: "abc", channel: "chat-abc", people: {} };

test("a person's first token comes with the session, each further one is asked for", async () => {
  const people = { jim: { token: "of jim" }, pam: { token: "of pam" } };
  const opened = { sessionId: "abc", channel: "chat-abc", ...people, token: "of jim" };
  const { api, calls } = apiThatHears(opened, { token: "second" }, { token: "third" });
  const token = api.tokens(await api.session("abc"), "pam");
  assert.deepEqual([await token(), calls.length], ["of pam", 1]);
  assert.deepEqual([await token(), await token()], ["second", "third"]);
  assert.deepEqual(calls[1].body, { sessionId: "abc", uid: "pam" });
});

const FAILURES = [
  [{ status: 404 }, /does not offer the demo/],
  [{ status: 429 }, /busy/],
  [{ status: 500 }, /error 500/],
  [{ text: "<html>" }, /makes no sense/],
];

for (const [answer, words] of FAILURES) {
  test(`${JSON.stringify(answer)} is told in words`, async () => {
    const { api } = apiThatHears(answer);
    await assert.rejects(api.tokens(SESSION, "jim")(), (error) => {
      assert.ok(error instanceof ApiError);
      assert.match(error.message, words);
      return true;
    });
  });
}

test("a server out of reach is told in words", async () => {
  const api = new Api("https://chat.test/", () => Promise.reject(new TypeError("Failed to fetch")));
  const told = { message: "The server cannot be reached.", status: 0 };
  await assert.rejects(api.tokens(SESSION, "jim")(), told);
});

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
  assert.deepEqual(await api.session("abc"), { id: "abc", channel: "chat-abc" });
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

test("a token is each person's own", async () => {
  const { api, calls } = apiThatHears({ sessionId: "abc", token: "of pam" });
  assert.equal(await api.token("abc", "pam"), "of pam");
  assert.deepEqual(calls[0].body, { sessionId: "abc", uid: "pam" });
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
    await assert.rejects(api.token("abc", "jim"), (error) => {
      assert.ok(error instanceof ApiError);
      assert.match(error.message, words);
      return true;
    });
  });
}

test("a server out of reach is told in words", async () => {
  const api = new Api("https://chat.test/", () => Promise.reject(new TypeError("Failed to fetch")));
  await assert.rejects(api.token("abc", "jim"), { message: "The server cannot be reached.", status: 0 });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { MASK, masked } from "../../../static/chat/demo/model/inside-mask.js";

const TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1aWQiOiJqaW0ifQ.c2lnbmF0dXJl_-";
const SECRET = "a-secret-of-the-server";

for (const [what, text] of [
  ["the secret of a connection", `{"data":{"connectionSecret":"${SECRET}"}}`],
  ["a token of a subscription", `{"data":{"token":"${TOKEN}"}}`],
  ["what is given as a token but is none", `{"data":{"token":["${SECRET}"]}}`],
  ["a token in a text", `{"data":"look: ${TOKEN}!"}`],
  ["a token as a name", `{"data":{"${TOKEN}":1}}`],
  ["an escaped token", `{"data":"\\u0065${TOKEN.slice(1)}"}`],
  ["the secret of a frame that was cut", `{"data":{"connectionSecret": "${SECRET}`],
]) {
  test(`${what} is masked`, () => {
    const shown = masked(text);
    assert.ok(shown.includes(MASK), shown);
    for (const secret of [SECRET, TOKEN.split(".")[1]]) assert.ok(!shown.includes(secret), shown);
  });
}

test("all else is shown as it came", () => {
  const frame = { event: "chat", data: "hello", meta: { uid: "jim" } };
  assert.deepEqual(JSON.parse(masked(JSON.stringify(frame))), frame);
  assert.equal(masked("no JSON"), "no JSON");
});

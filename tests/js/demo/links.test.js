import assert from "node:assert/strict";
import { test } from "node:test";
import { linksIn } from "../../../static/chat/demo/model/links.js";

// What is written, and the links in it: as they are shown, and where they lead if that differs.
const TEXTS = [
  ["see https://example.org/a?b=1#c now", ["https://example.org/a?b=1#c"]],
  ["HTTP://EXAMPLE.ORG", ["HTTP://EXAMPLE.ORG"]],
  ["www.example.org", ["www.example.org", "https://www.example.org"]],
  ["write to pam@example.org.", ["pam@example.org", "mailto:pam@example.org"]],
  ["mailto:pam@example.org", ["mailto:pam@example.org"]],
  ["https://müller.example/straße", ["https://müller.example/straße"]],
  ["https://a.example, https://b.example.", ["https://a.example"], ["https://b.example"]],
  ["(https://a.example/x_(y))", ["https://a.example/x_(y)"]],
  ["“https://a.example”…", ["https://a.example"]],
  ["https://a.example/ä)]!?", ["https://a.example/ä"]],
  ["line\nhttps://a.example\nline", ["https://a.example"]],
  ["https://a.example<b>", ["https://a.example"]],
];

for (const [text, ...links] of TEXTS) {
  test(`${JSON.stringify(text)} has its links`, () => {
    const pieces = linksIn(text);
    const found = pieces.filter((piece) => piece.href);
    assert.deepEqual(found, links.map(([shown, href = shown]) => ({ text: shown, href })));
    assert.equal(pieces.map((piece) => piece.text ?? piece).join(""), text);
  });
}

const NONE = [
  "",
  "javascript:alert(1)",
  "javascript:http://a.example",
  "data:text/html,<b>",
  "file:///etc/passwd",
  "http://",
  "https://?",
  "mailto:nobody",
  "https://bank.example@evil.example",
  "https://a:b@evil.example/",
  "xhttp://a.example",
];

for (const text of NONE) {
  test(`${JSON.stringify(text)} has none`, () => {
    assert.deepEqual(linksIn(text), text ? [text] : []);
  });
}

test("a character that is not seen ends a link", () => {
  for (const hidden of ["\u202e", "\u200b", "\u2066", "\u00ad"]) {
    assert.equal(linksIn(`https://a.example/${hidden}gpj.exe`)[0].href, "https://a.example/");
  }
});

test("a message has at most fifty", () => {
  const text = "http://a.example ".repeat(60);
  assert.equal(linksIn(text).filter((piece) => piece.href).length, 50);
  assert.equal(linksIn(text).map((piece) => piece.text ?? piece).join(""), text);
});

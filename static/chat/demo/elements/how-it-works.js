// "How it works": a dialog. Loaded when somebody wants to know.

const CHAPTERS = {
  "The windows":
    "Jim and Pam share a screen here, but nothing else: each window is a client of its own, with its own token and its own WebSocket. Everything you see in one window went through the server before it reached the other.",
  "The session":
    "A chat is a channel, and its id stands at the end of this page’s address. Your browser remembers it, and whoever has the link is in the same chat. If there is no id yet, the server makes one.",
  "The tokens":
    "For each connection the server gives the page a fresh token. It is signed, names the person, and lists what they may do in this one channel: read its history, write, react, and say that they are typing.",
  "The history":
    "A window begins with the newest 50 messages and reads older ones as you scroll up; it never holds more than 150, however long the chat. Each message has a place in the channel’s order. After a lost connection the window says where it was, and the server sends what came since: nothing is missing and nothing is there twice. Messages are kept for 24 hours.",
  "The messages":
    "What you send stands in your window at once, a little paler until the server has stored it; nobody else sees it before. One that could not be sent stays, and can be sent again: the server knows it by a mark of its own and stores it once. The time of a message is part of its id.",
  "The reactions":
    "Four of them, one a person and message; they open beside a message under the pointer, at a tap, or with the arrow keys. Choosing another takes the first one back. The counts change when the server says so, for everyone at once.",
  Typing:
    "While you write, the other window hears of it at most every one and a half seconds. Nobody stores that; it fades after two seconds.",
  "Look inside":
    "The button in each window’s header shows its token in words and every frame in and out. There you can also send what the token forbids, and take the window offline to see it catch up.",
};

const SOURCES = ["../../client/index.js", "../main.js"].map((path) => new URL(path, import.meta.url));

/**
 * Puts the dialog into the page, not open yet, once its style sheet is there.
 * @throws {TypeError} where that is not to be had
 */
export async function addDialog(page) {
  const title = make("h2", { id: "how-title" }, "How it works");
  const dialog = make("dialog", { className: "how" }, head(title), body());
  dialog.setAttribute("aria-labelledby", title.id);
  await dress(page);
  page.append(dialog);
  return dialog;
}

function dress(page) {
  const link = make("link", { rel: "stylesheet", href: new URL("../how.css", import.meta.url) });
  return new Promise((done, fail) => {
    link.addEventListener("load", done);
    link.addEventListener("error", () => {
      link.remove();
      fail(new TypeError(link.href));
    });
    page.append(link);
  });
}

function head(title) {
  const close = make("button", { className: "icon-button", ariaLabel: "Close" }, icon("close"));
  const form = make("form", { method: "dialog" }, close);
  return make("div", { className: "how-head" }, title, form);
}

function body() {
  const [client, page] = SOURCES.map(String);
  const sources = make(
    "p",
    {},
    "The client is a handful of plain JavaScript modules without a build step: start at ",
    make("a", { href: client }, "the client"),
    " and at ",
    make("a", { href: page }, "this page"),
    ".",
  );
  const chapters = make("dl", {}, ...Object.entries(CHAPTERS).flatMap(chapter));
  return make("div", { className: "how-body" }, chapters, sources);
}

function chapter([title, words]) {
  return [make("dt", {}, title), make("dd", {}, words)];
}

function icon(name) {
  const svg = document.querySelector(`.bar [href="#icon-help"]`).closest("svg").cloneNode(true);
  svg.querySelector("use").setAttribute("href", `#icon-${name}`);
  return svg;
}

function make(name, properties, ...content) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...content);
  return element;
}

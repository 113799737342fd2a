// What "How it works" says. Loaded when somebody wants to know.

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

/** Puts the chapters into a list of terms. */
export function explain(list) {
  list.replaceChildren(...Object.entries(CHAPTERS).flatMap(chapter));
}

function chapter([title, words]) {
  return [make("dt", title), make("dd", words)];
}

function make(name, textContent) {
  return Object.assign(document.createElement(name), { textContent });
}

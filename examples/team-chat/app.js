import { at, connect } from "./page.js";

const TYPING_MS = 3000; // how long one is said to be typing; told again at most that often
const typing = new Map(); // uid -> the timer that ends it

at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  at("join").hidden = true;
  at("room").hidden = false;
  join({ name: at("name").value });
  at("text").focus();
});

function join(person) {
  const client = connect(person);
  const team = client.channels("presence.team");
  team.bind(/^hotsock\.(subscribed|member)/, () => {
    at("members").replaceChildren(...team.members.map(({ uid }) => element("li", uid)));
  });
  team.follow({
    event: "chat",
    onMessage({ id, data, meta }) {
      const item = element("li", "");
      item.id = id;
      item.append(element("strong", meta.uid), element("span", String(data)));
      at("log").append(item);
      item.scrollIntoView({ block: "nearest" });
      showTyping(meta.uid, false);
    },
    onDelete: ({ messageId }) => at(messageId)?.remove(),
    onJump: () => at("log").replaceChildren(),
  });
  team.bind("typing", ({ meta }) => showTyping(meta.uid, true));
  at("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    team.sendMessage("chat", { data: at("text").value });
    at("text").value = "";
  });
  let told = -Infinity;
  at("text").addEventListener("input", () => {
    if (performance.now() < told + TYPING_MS / 2) return;
    told = performance.now();
    team.sendMessage("typing");
  });
}

function showTyping(uid, isTyping) {
  clearTimeout(typing.get(uid));
  typing.delete(uid);
  if (isTyping) typing.set(uid, setTimeout(() => showTyping(uid, false), TYPING_MS));
  at("typing").textContent = [...typing.keys()].map((name) => `${name} is typing …`).join(" ");
}

function element(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

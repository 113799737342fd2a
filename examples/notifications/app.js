import { ask, at, connect, say, timeOf } from "./page.js";

// Who one is: ?as=ada or ?as=bob. An application would know it from its session.
const uid = new URLSearchParams(location.search).get("as") ?? "ada";
const other = uid === "ada" ? "bob" : "ada";
at("you").textContent = uid;
at("other").textContent = `Open as ${other}`;
at("other").href = `?as=${other}`;

const client = connect({ uid });
const mine = client.channels(`user.${uid}`);
mine.subscribeTokenFn = async ({ connectionId }) =>
  (await ask("/subscribe-token", { uid, connectionId })).token;

mine.follow({
  event: "notice",
  onMessage(message) {
    const item = document.createElement("li");
    item.id = message.id;
    const time = document.createElement("time");
    time.textContent = timeOf(message);
    item.append(time, String(message.data));
    at("feed").prepend(item);
  },
  onDelete: ({ messageId }) => at(messageId)?.remove(),
  onJump: () => at("feed").replaceChildren(),
});

at("notify").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [to, text, delay] = ["to", "text", "delay"].map((id) => at(id).value);
  at("text").value = "";
  try {
    await ask("/notify", { to, text, delay });
  } catch ({ message }) {
    say(message);
  }
});

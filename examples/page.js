// What the examples' pages share: their backend's answers, the connection, and a channel's history.

import { HotsockClient, decodeTime } from "{{CHAT_URL}}/static/chat/client/index.js";

const PAGE = 100; // messages that listMessages answers at once, at most

export const at = (id) => document.getElementById(id);

/** When a message was created, as a clock here shows it. */
export const timeOf = ({ id }) => new Date(decodeTime(id)).toLocaleTimeString();

/** The backend's answer to the body, as JSON. */
export async function ask(path, body) {
  const response = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

/** What the page says of itself. */
export function say(words) {
  at("status").textContent = words;
}

/** A client of the chat server, as that person; the page says how it is doing. */
export function connect(person) {
  const connectTokenFn = async () => (await ask("/token", person)).token;
  const client = new HotsockClient("{{CHAT_URL}}/v1", { connectTokenFn });
  client.bind("hotsock.connected", () => say("Connected"));
  client.bind("@@disconnect", () => say("Connection lost: trying again …"));
  client.bind("hotsock.error", ({ error }) => say(error.message));
  client.bind("@@error", ({ message }) => say(message));
  return client;
}

/** Shows each stored message once and in order: those of the history, then what comes live. */
export function follow(client, channel, event, show) {
  let last; // the id of the newest that was shown
  let history;
  const once = (message) => {
    if (message.id <= last) return;
    last = message.id;
    show(message);
  };
  channel.bind("hotsock.subscribed", () => (history = read(client, channel.name, last, once)));
  channel.bind(event, async (message) => {
    await history;
    once(message);
  });
}

async function read(client, channel, last, show) {
  const url = `{{CHAT_URL}}/connection/listMessages?${new URLSearchParams(client.activeConnection)}`;
  let after = last;
  let messages;
  do {
    const body = JSON.stringify({ channel, after });
    ({ messages } = await (await fetch(url, { method: "POST", body })).json());
    for (const message of messages) show(message);
    after = messages.at(-1)?.id;
  } while (messages.length === PAGE);
}

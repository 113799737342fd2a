// What the examples' pages share: their backend's answers, and the connection.

import { HotsockClient, decodeTime } from "{{CHAT_URL}}/static/chat/client/index.js";

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

// The live page: a client of the server's own, whose connection a ticket opens. What comes of each
// process goes to its section; what matters to all is said in one line.

import { Process } from "./process.js";
import { busiest, showChannels, showWarnings } from "./tables.js";

const CHECK_MS = 1000;
const PATIENCE_MS = 4000; // who reconnects at once, as each five minutes with a new ticket, lost nothing

const root = document.querySelector(".live");
const said = root.querySelector(".live-state");
const list = root.querySelector(".live-processes");
const processes = new Map();
let trouble = "Connecting…"; // "": connected
let losing; // a timer, from the connection's end on

for (const section of list.querySelectorAll("section")) {
  processes.set(section.dataset.node, new Process(section, performance.now()));
}

function say() {
  const away = [...processes.values()].filter(({ isAway }) => isAway).map(({ name }) => name);
  const words = away.length ? `Connected. Away: ${away.join("; ")}.` : "Connected.";
  const text = trouble || words;
  if (said.textContent !== text) said.textContent = text; // a screen reader reads it once
  said.classList.toggle("live-trouble", trouble !== "" || away.length > 0);
}

function lost(words) {
  trouble = words;
  say();
}

function receive({ data }) {
  const now = performance.now();
  clearTimeout(losing);
  trouble = "";
  let process = processes.get(data.id);
  if (!process) {
    process = Process.made(data, now);
    processes.set(data.id, process);
    root.querySelector(".live-none")?.remove();
    list.append(process.element);
  }
  process.receive(data, now);
  const present = [...processes.values()].filter(({ isAway }) => !isAway);
  showChannels(root, busiest(present.map(({ channels }) => channels)));
  showWarnings(
    root,
    [...processes.values()].map(({ name, warnings }) => [name, warnings]),
  );
  say();
}

function check() {
  const now = performance.now();
  for (const [id, process] of processes) {
    if (trouble) process.wait(now);
    process.check(now);
    if (process.isForgotten(now)) {
      process.element.remove();
      processes.delete(id);
    }
  }
  say();
}

async function ticket() {
  const token = root.querySelector("[name=csrfmiddlewaretoken]").value;
  const asked = { method: "POST", headers: { "X-CSRFToken": token }, redirect: "manual" };
  const answer = await fetch(root.dataset.ticket, asked);
  if (answer.ok) return answer.text();
  if (answer.type === "opaqueredirect" || answer.status === 403) {
    clearTimeout(losing);
    lost("Not connected: log in again, as somebody who may see connections.");
  }
  throw new Error(`no ticket: ${answer.status}`);
}

const { HotsockClient } = await import(root.dataset.client);
const client = new HotsockClient(new URL(root.dataset.websocket, location.href), {
  connectTokenFn: ticket,
  connectTokenFnMaxAttempts: Infinity,
  logLevel: "silent",
});
client.bind("process", receive);
client.bind("@@disconnect", () => {
  clearTimeout(losing);
  losing = setTimeout(() => lost("Connection lost; trying again…"), PATIENCE_MS);
});
say();
setInterval(check, CHECK_MS);

// The orders of the page follow those of the server.

import { HotsockClient } from "../chat/client/dist/index.js";
import { showRows } from "../chat/rows/rows.js";

const orders = document.getElementById("orders");
const connection = document.getElementById("connection");
const csrf = document.querySelector("[name=csrfmiddlewaretoken]").value;
const { address, tokens } = document.body.dataset;
const { channel } = orders.dataset;

const client = new HotsockClient(address, {
  connectTokenFn: async () => {
    const body = new URLSearchParams({ channel });
    const answer = await fetch(tokens, { method: "POST", body, headers: { "X-CSRFToken": csrf } });
    return (await answer.json()).token;
  },
});
const say = (words) => (connection.textContent = words);
client.bind("@@disconnect", () => say("Not connected: what you see may be out of date."));
client.bind("@@connect", () => say(""));
showRows(client.channels(channel), orders, { name: "order" });

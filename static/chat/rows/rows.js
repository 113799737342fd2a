// The rows of a page, kept as the server publishes them (docs/django-models.md).

const CHANGES = ["created", "changed", "deleted"];
const AGAIN_MS = 5000;

/**
 * Each row is an element of `list`, with the id `order-42` for the name `order`. After each
 * subscribing all are read anew from `url`, which has an element of the list's id, too.
 * @param {import("../client/channel.js").Channel} channel of client.channels(name)
 * @param {HTMLElement} list with an id
 * @param {{name: string, place?: "prepend" | "append", url?: string}} options `place` of new rows
 * @returns {function(): void} ends it
 */
export function showRows(channel, list, { name, place = "prepend", url = location.href }) {
  let last;
  const next = (step) => {
    last = after(last, step); // one after another: what comes while all are read is newer
  };
  const read = () => readAll(list, url, () => setTimeout(next, AGAIN_MS, read));
  const show = ({ event, data, meta }) => {
    if (meta) return; // a client sent it, who must not write HTML here
    const old = list.querySelector(`#${CSS.escape(`${name}-${data.id}`)}`);
    const row = event === `${name}.deleted` ? null : parsed(data.html);
    const focused = old?.contains(document.activeElement) && document.activeElement.id;
    if (!row) old?.remove();
    else if (old) old.replaceWith(row);
    else if (event === `${name}.created`) list[place](row); // else it is none that the page lists
    if (row) settle(row, focused);
  };
  const bindings = CHANGES.map((change) =>
    channel.bind(`${name}.${change}`, (frame) => next(() => show(frame))),
  );
  bindings.push(channel.bind("hotsock.subscribed", () => next(read)));
  if (channel.subscribed) next(read);
  return () => bindings.forEach((binding) => binding.unbind());
}

async function after(before, step) {
  await before;
  await step();
}

async function readAll(list, url, onFailure) {
  try {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const rows = page.getElementById(list.id);
    if (!rows || rows.innerHTML === list.innerHTML) return;
    const focused = list.contains(document.activeElement) && document.activeElement.id;
    list.replaceChildren(...rows.childNodes);
    settle(list, focused);
  } catch {
    onFailure();
  }
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

function settle(element, focused) {
  globalThis.htmx?.process(element);
  if (focused) document.getElementById(focused)?.focus();
}

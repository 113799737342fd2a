import { at, connect } from "./page.js";

const list = connect({}).channels("todo.shared");
const items = new Map(); // storage key -> its <li>

// The entries follow hotsock.subscribed at once, also after reconnecting.
list.bind("hotsock.subscribed", () => {
  at("items").replaceChildren();
  items.clear();
});

list.bind("hotsock.channelStorageUpdated", ({ key, data }) => {
  if (data === null) remove(key);
  else show(items.get(key) ?? add(key), data);
  const open = [...items.values()].filter((item) => !parts(item).done.checked);
  at("news").textContent = `${open.length} of ${items.size} to do`;
});

at("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = `item-${Date.now()}-${Math.random().toString(36).slice(2)}`; // sorts by time
  set(key, { text: at("text").value, done: false });
  at("text").value = "";
});

function set(key, data) {
  list.sendMessage("hotsock.channelStorageSet", { key, data });
}

function add(key) {
  const item = at("item").content.cloneNode(true).firstElementChild;
  const { done, text, removal } = parts(item);
  const save = () => set(key, { text: text.value, done: done.checked });
  done.addEventListener("change", save);
  text.addEventListener("change", () => {
    text.defaultValue = text.value;
    save();
  });
  text.addEventListener("blur", () => (text.value = text.defaultValue)); // what came meanwhile
  removal.addEventListener("click", () => set(key, null));
  items.set(key, item);
  at("items").append(item);
  return item;
}

function show(item, data) {
  const { done, text, removal } = parts(item);
  done.checked = data.done === true;
  text.defaultValue = String(data.text);
  if (text !== document.activeElement) text.value = text.defaultValue; // else somebody is writing
  text.style.textDecoration = done.checked ? "line-through" : "none";
  done.ariaLabel = `Done: ${text.defaultValue}`;
  text.ariaLabel = `Item: ${text.defaultValue}`;
  removal.ariaLabel = `Remove: ${text.defaultValue}`;
}

function remove(key) {
  const item = items.get(key);
  if (item?.contains(document.activeElement)) at("text").focus();
  item?.remove();
  items.delete(key);
}

function parts(item) {
  const [done, text, removal] = item.children;
  return { done, text, removal };
}

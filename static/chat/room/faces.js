// Who is who, by the metadata (`umd`) that the server sends with a uid: {name, avatar}, both texts.
// Shows avatars beside messages, and who is there.

import { callBy, namesOf } from "../demo/model/people.js";

const MAX_NAME = 80; // UTF-16 units
const avatars = new Map(); // uid -> address; a page has one set of users

export class Faces {
  #present;

  constructor(window) {
    const list = window.querySelector(".messages");
    this.#present = window.querySelector(".present");
    const observer = new MutationObserver((records) => added(records).forEach(showFace));
    observer.observe(list, { childList: true });
  }

  /** From a frame, or a message of history. */
  learnFrom({ meta, reactions }) {
    learn(meta);
    for (const { items } of Object.values(reactions ?? {})) items?.forEach(learn);
  }

  /** The members of a presence channel; other channels have none. */
  show(members) {
    members.forEach(learn);
    this.#present.hidden = !members.length;
    this.#present.textContent = `${members.length} here`;
    this.#present.title = namesOf(members.map(({ uid }) => uid));
  }
}

const added = (records) => records.flatMap(({ addedNodes }) => [...addedNodes]);

function learn(person) {
  const { uid, umd } = person ?? {};
  if (typeof uid !== "string" || typeof umd !== "object") return;
  const { name, avatar } = umd ?? {};
  if (typeof name === "string" && name.trim()) callBy(uid, name.trim().slice(0, MAX_NAME));
  if (typeof avatar === "string" && isPicture(avatar)) avatars.set(uid, avatar);
}

const isPicture = (address) =>
  URL.canParse(address, location.href) && /^https?:/.test(new URL(address, location.href).protocol);

function showFace(item) {
  const address = avatars.get(item.dataset.sender);
  if (!address) return;
  const picture = Object.assign(new Image(), { src: address, alt: "", referrerPolicy: "no-referrer" });
  item.querySelector(".disc").replaceChildren(picture);
}

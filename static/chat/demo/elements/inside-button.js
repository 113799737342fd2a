// The button in a window's header that opens its drawer. The drawer is loaded when it is first
// wanted, so it imports nothing that the page has: what it needs of that, it is given.

import { Inside } from "../model/inside.js";
import { NOT_LOADED } from "../model/words.js";
import { StickyScroll } from "./sticky-scroll.js";

/**
 * @param {import("./chat-window.js").ChatWindow} window
 * @param {function(string): void} trouble told in a sentence why there is no drawer
 * @returns {Inside} of that window
 */
export function offerInside(window, trouble) {
  const inside = new Inside();
  const retry = window.querySelector('.notice [data-action="retry"]');
  retry.addEventListener("click", () => inside.isOffline && inside.setOffline(false));
  inside.addEventListener("switched", () => {
    retry.textContent = inside.isOffline ? "Go online" : "Try again";
    window.showPhase();
  });
  const button = window.querySelector('[data-action="inside"]');
  let drawer = null;
  button.addEventListener("click", async () => {
    drawer ??= load(window, { button, inside, StickyScroll });
    try {
      (await drawer).toggle();
    } catch (error) {
      drawer = null;
      if (!(error instanceof TypeError)) throw error; // a file that did not come
      trouble(NOT_LOADED);
    }
  });
  return inside;
}

async function load(window, parts) {
  const { openDrawer } = await import("./inside-drawer.js");
  return openDrawer(window, parts);
}

// A copy of a template of the page, with texts in it.

let place = document;

/** From now on the templates are those in this shadow root. */
export const fillFrom = (root) => (place = root);

/**
 * @param {string} id of the template; it holds one element
 * @param {Object<string, string>} texts by selector
 */
export function fill(id, texts) {
  const element = place.getElementById(id).content.firstElementChild.cloneNode(true);
  for (const [selector, text] of Object.entries(texts)) {
    element.querySelector(selector).textContent = text;
  }
  return element;
}

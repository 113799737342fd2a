// How numbers read, and elements made of text.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = ["bytes", "KB", "MB", "GB"];

/** @returns {string} such as "1,234" or "5.2" */
export const number = (value) => (value < 100 ? SMALL : WHOLE).format(value);

/** @returns {string} such as "1.5 MB" */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${number(value)} ${UNITS[unit]}`;
}

/** @returns {HTMLElement} */
export function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.textContent = text;
  return made;
}

// A frame as it may be shown: secrets and tokens masked. Pure.

export const MASK = "•••";

const SECRETS = new Set(["connectionSecret", "token"]);
const TOKEN = /eyJ[\w-]+\.[\w-]+\.[\w-]*/g;
const FIELD = /("(?:connectionSecret|token)"\s*:\s*)(?:"(?:[^"\\]|\\.)*"?)/g; // in what is no JSON

/** @returns {unknown} the JSON value of a text; undefined: it is none */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @returns {string} the frame, an object a line and indented; what is no JSON as it is */
export function masked(text) {
  const frame = parse(text);
  const shown = frame === undefined ? text.replace(FIELD, `$1"${MASK}"`) : indented(frame);
  return shown.replace(TOKEN, MASK);
}

const indented = (frame) =>
  JSON.stringify(frame, (key, value) => (SECRETS.has(key) ? MASK : value), 2);

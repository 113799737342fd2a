// Where the links are in a text. Pure. A link is a web or mail address that says so itself; what
// it shows is what was written, so nothing is decoded, shortened or made prettier. Text that hides
// where it leads (a user name before the host, characters that turn or join text) is no link.

const MAX_LINKS = 50; // in a message; more stay text

// Neither blanks, quotes and angles nor invisible characters: those end an address.
const ADDRESS = /(?:https?:\/\/|www\.|mailto:)[^\s<>"`\p{C}]+/u.source;
const MAIL = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+/u.source;
const CANDIDATE = new RegExp(`(?<![\\p{L}\\p{N}_@/.:+-])(?:${ADDRESS}|${MAIL})`, "giu");

const CLOSING = { ")": "(", "]": "[", "}": "{", "’": "‘", "”": "“", "»": "«" };
const PUNCTUATION = new Set(".,;:!?…'*_~。、，！？");

/**
 * @param {string} text
 * @returns {(string | {text: string, href: string})[]} the whole text in order, in pieces
 */
export function linksIn(text) {
  const pieces = [];
  let end = 0;
  let count = 0;
  for (const { 0: found, index } of text.matchAll(CANDIDATE)) {
    const written = withoutEnd(found);
    const href = hrefOf(written);
    if (!href) continue;
    if (count++ === MAX_LINKS) break;
    pieces.push(text.slice(end, index), { text: written, href });
    end = index + written.length;
  }
  return [...pieces, text.slice(end)].filter((piece) => piece !== "");
}

/** Without the punctuation of the sentence around it, and brackets that it did not open. */
function withoutEnd(found) {
  const counts = {};
  for (const character of found) counts[character] = (counts[character] ?? 0) + 1;
  let end = found.length;
  for (; end > 0 && isOutside(found[end - 1], counts); end -= 1) counts[found[end - 1]] -= 1;
  return found.slice(0, end);
}

function isOutside(character, counts) {
  const opening = CLOSING[character];
  return PUNCTUATION.has(character) || (opening && counts[character] > (counts[opening] ?? 0));
}

const COMPLETE = [
  [/^www\./iu, (written) => `https://${written}`],
  [/^(?!https?:|mailto:)/iu, (written) => `mailto:${written}`],
  [/^/u, (written) => written],
];

/** The address that it leads to; null where that is not plainly what is written. */
function hrefOf(written) {
  const href = COMPLETE.find(([form]) => form.test(written))[1](written);
  if (!URL.canParse?.(href)) return null;
  const { protocol, hostname, username, password, pathname } = new URL(href);
  if (protocol === "mailto:") return pathname.includes("@") ? href : null;
  return hostname && !username && !password ? href : null;
}

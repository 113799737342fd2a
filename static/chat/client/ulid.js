// Message ids are ULIDs: 26 characters, of which the first 10 are the time (protocol.md section 2).

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford base32: no I, L, O, U
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/; // 128 bits: the first character holds three
const TIME_LENGTH = 10;

/**
 * The moment at which a message was created.
 * @param {string} id a message's id
 * @returns {number} milliseconds since 1970, UTC; `new Date(decodeTime(id))`
 * @throws {TypeError} when id is no ULID in upper case
 */
export function decodeTime(id) {
  if (typeof id !== "string" || !ULID.test(id)) throw new TypeError(`id is no ULID: ${String(id)}`);
  let time = 0;
  for (const digit of id.slice(0, TIME_LENGTH)) time = time * 32 + ALPHABET.indexOf(digit);
  return time;
}

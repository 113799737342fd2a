/**
 * The moment at which a message was created.
 * @param {string} id a message's id
 * @returns {number} milliseconds since 1970, UTC; `new Date(decodeTime(id))`
 * @throws {TypeError} when id is no ULID in upper case
 */
export function decodeTime(id: string): number;

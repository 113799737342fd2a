/**
 * What was missed, and what to make of it: to begin with it, to compare it with what is held, or to
 * jump there, since it does not reach back to that.
 * @typedef {object} Past
 * @property {import("./history.js").Message[]} history oldest first, with expanded reactions
 * @property {"opening" | "comparison" | "jump"} kind
 */
/**
 * @param {object} source as of read()
 * @param {import("./telling.js").Telling} telling
 * @returns {Promise<Past>}
 */
export function readPast(source: object, telling: import("./telling.js").Telling): Promise<Past>;
/**
 * What was missed, and what to make of it: to begin with it, to compare it with what is held, or to
 * jump there, since it does not reach back to that.
 */
export type Past = {
    /**
     * oldest first, with expanded reactions
     */
    history: import("./history.js").Message[];
    kind: "opening" | "comparison" | "jump";
};

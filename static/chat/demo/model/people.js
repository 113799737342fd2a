// What to call whom: the demo's two people, whoever has been named since, and anyone else.

const NAMES = new Map([["jim", "Jim"], ["pam", "Pam"]]);

/** From now on this uid goes by that name. */
export const callBy = (uid, name) => NAMES.set(uid, name);

/** A message that the server's own API published has no uid. */
export const nameOf = (uid) => NAMES.get(uid) ?? uid ?? "Server";

/** "Jim", "Jim and Pam", "Jim, Pam and 3 more" */
export function namesOf(uids) {
  const names = [...uids].map(nameOf);
  if (names.length > 3) return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

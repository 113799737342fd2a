// The demo's two people, and what to call anyone else who writes into their channel.

const NAMES = new Map([["jim", "Jim"], ["pam", "Pam"]]);

/** A message that the server's own API published has no uid. */
export const nameOf = (uid) => NAMES.get(uid) ?? uid ?? "Server";

/** "Jim", "Jim and Pam", "Jim, Pam and 3 more" */
export function namesOf(uids) {
  const names = [...uids].map(nameOf);
  if (names.length > 3) return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// A token in words: the sentences of tokens/explain.py, which the server's own tools say; a test
// compares both. Pure. The signature is never shown.

const REGEX = "#regex:";
const MAX_KEY = 256; // UTF-16 units of a name in a sentence

/**
 * @param {?string} token
 * @returns {?{header: object, claims: object, items: {name: string, value: string, words: string}[]}}
 *   null: it is none
 */
export function readToken(token) {
  const [header, claims] = (token ?? "").split(".").slice(0, 2).map(decoded);
  if (!isObject(header) || !isObject(claims)) return null;
  return { header, claims, items: [...explain(claims)] };
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function decoded(part) {
  try {
    const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0))));
  } catch {
    return null;
  }
}

function* explain(claims) {
  for (const [name, words] of Object.entries(CLAIMS)) {
    const value = claims[name];
    if (isStated(name, value)) yield { name, value: JSON.stringify(value), words: words(value) };
  }
  for (const [key, entry] of entriesOf(claims.channels)) {
    const at = `channels[${quoted(key)}]`;
    const place = named("channel", key);
    yield* sentences(CHANNEL, entry, at, [place]);
    yield* inner(MESSAGE, "event", entry.messages, `${at}.messages`, place);
    yield* inner(STORAGE, "storage key", entry.storage, `${at}.storage`, place);
  }
  yield* unknown(claims, KNOWN);
}

function isStated(name, value) {
  if (value === undefined || value === null) return false;
  return name === "umd" || !(value === false || (Array.isArray(value) && value.length === 0));
}

const entriesOf = (keyed) => (isObject(keyed) ? Object.entries(keyed).filter(([, entry]) => isObject(entry)) : []);

function* inner(table, noun, keyed, path, place) {
  for (const [key, entry] of entriesOf(keyed)) {
    yield* sentences(table, entry, `${path}[${quoted(key)}]`, [named(noun, key), place]);
  }
}

function* sentences(table, entry, at, names) {
  for (const [directive, value] of Object.entries(entry)) {
    if (value === null || !Object.hasOwn(table, directive)) continue;
    yield { name: `${at}.${directive}`, value: JSON.stringify(value), words: table[directive](value, ...names) };
  }
}

function* unknown(object, known, path = "") {
  for (const [name, value] of Object.entries(object)) {
    if (!Object.hasOwn(known, name)) {
      const words = `${path}${name} is not known here and has no effect.`;
      yield { name: `${path}${name}`, value: JSON.stringify(value), words };
    }
  }
  for (const name of Object.keys(known).filter((each) => known[each])) {
    for (const [key, entry] of entriesOf(object[name])) {
      yield* unknown(entry, known[name], `${path}${name}[${quotedKey(key)}].`);
    }
  }
}

// --- values -------------------------------------------------------------------------------------

const UNPRINTABLE = /(?! )[\p{C}\p{Z}]/gu;
const UNITS = [[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
const USES = { connect: "to open a connection", subscribe: "to subscribe", umd: "to change metadata" };

const printable = (text) =>
  text.replace(UNPRINTABLE, (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`);

const quoted = (value) => printable(JSON.stringify(value));

const quotedKey = (text) => quoted(text.length > MAX_KEY ? `${text.slice(0, MAX_KEY)}…` : text);

const listed = (values) => [values].flat().toSorted().map(quoted).join(", ");

function named(noun, key) {
  if (key.startsWith(REGEX)) {
    return `${noun}s that match the regular expression ${quotedKey(key.slice(REGEX.length))}`;
  }
  if (!key.includes("*")) return `the ${noun} ${quotedKey(key)}`;
  return /[^*]/u.test(key) ? `${noun}s that fit ${quotedKey(key)}` : `every ${noun}`;
}

function instant(seconds) {
  const at = new Date(Math.floor(seconds) * 1000);
  if (Number.isNaN(at.getTime())) return String(seconds);
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function duration(seconds) {
  const [size, unit] = UNITS.find(([each]) => seconds % each === 0) ?? UNITS.at(-1);
  const count = seconds / size;
  return `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`;
}

const stored = (seconds) =>
  ({ 0: "not stored", [-1]: "kept for ever" })[seconds] ?? `kept for ${duration(seconds)}`;

// --- sentences ----------------------------------------------------------------------------------

const never = (value) => (value ? "" : "never ");

const scope = (value) =>
  Object.entries(USES).filter(([use]) => String(value).split(" ").includes(use)).map(([, words]) => words).join(" and ");

function publish(isAllowed, event, channel) {
  if (!isAllowed) return `It may never publish ${event} on ${channel}.`;
  return `It may publish ${event} on ${channel} while it is subscribed.`;
}

function react(reactions, event, channel) {
  if (reactions === false || reactions.length === 0) {
    return `It may not react to ${event} on ${channel}.`;
  }
  const what = reactions === true ? "anything" : listed([...new Set(reactions)]);
  return `It may react to ${event} on ${channel} with ${what}.`;
}

const CLAIMS = {
  scope: (value) => `It may be used ${scope(value)}.`,
  uid: (value) => `Its bearer is ${quoted(value)}.`,
  umd: (value) => `Its bearer's metadata is ${quoted(value)}.`,
  exp: (value) => `It may be used until ${instant(value)}.`,
  nbf: (value) => `It may not be used before ${instant(value)}.`,
  iat: (value) => `It was issued at ${instant(value)}.`,
  aud: (value) => `It is meant for ${listed(value)}.`,
  iss: (value) => `It was issued by ${quoted(value)}.`,
  jti: () => "It has an id of its own (jti).",
  singleUse: () => "It may be used once.",
  connectionId: (value) => `Only the connection ${quoted(value)} may use it.`,
  keepAlive: () => "Its connection is kept from idling out.",
  heartbeatTimeout: (value) =>
    `Its connection is closed where ${duration(value)} pass without a heartbeat.`,
  umdUpdate: () => "It may change the metadata of the connection.",
  umdPropagate: () => "What it changes holds for all subscriptions of the connection.",
};

const CHANNEL = {
  subscribe: (value, channel) => `It may ${never(value)}subscribe to ${channel}.`,
  autoSubscribe: (value, channel) =>
    `It is ${never(value)}subscribed to ${channel} as soon as it is connected.`,
  alias: (value, channel) => `It may call ${channel} by the name ${quoted(value)}.`,
  getInfo: (value, channel) => `It may ${never(value)}ask how many listen to ${channel}.`,
  historyStart: (value, channel) =>
    value > 0
      ? `It may read the history of ${channel} since ${instant(value)}.`
      : `It may read the whole history of ${channel}.`,
  omitFromSubCount: (value, channel) =>
    `It is ${value ? "not " : ""}counted among those who listen to ${channel}.`,
  umdUpdate: (value, channel) =>
    `It may ${never(value)}change the metadata of the subscription to ${channel}.`,
};

const MESSAGE = {
  publish,
  broadcast: (value, event, channel) =>
    `It may ${never(value)}publish ${event} on ${channel} without being subscribed.`,
  echo: (value, event, channel) =>
    `It ${never(value)}gets its own copy of what it publishes as ${event} on ${channel}.`,
  store: (value, event, channel) =>
    `What it publishes as ${event} on ${channel} is ${stored(value)}.`,
  react,
  scheduleBefore: (value, event, channel) =>
    `It may schedule ${event} on ${channel} for times until ${instant(value)}.`,
  emitPubSubEvent: (value, event, channel) =>
    `What it publishes as ${event} on ${channel} is ${never(value)}reported to the site's backend.`,
};

const STORAGE = {
  get: (value, key, channel) => `It may ${never(value)}read ${key} of ${channel}.`,
  set: (value, key, channel) => `It may ${never(value)}write ${key} of ${channel}.`,
  observe: (value, key, channel) => `It is ${never(value)}told of changes to ${key} of ${channel}.`,
  store: (value, key, channel) => `What it writes to ${key} of ${channel} is ${stored(value)}.`,
  scheduleBefore: (value, key, channel) =>
    `It may schedule writes to ${key} of ${channel} for times until ${instant(value)}.`,
  emitPubSubEvent: (value, key, channel) =>
    `What it writes to ${key} of ${channel} is ${never(value)}reported to the site's backend.`,
};

/** By name: null, or what is known of its entries. */
const names = (table) => Object.fromEntries(Object.keys(table).map((name) => [name, null]));
const KNOWN = {
  ...names(CLAIMS),
  channels: { ...names(CHANNEL), messages: names(MESSAGE), storage: names(STORAGE) },
};

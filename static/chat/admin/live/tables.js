// What all processes say together: the busiest channels and the last warnings.

import { element, number } from "./words.js";

const CHANNELS = 10;
const WARNINGS = 20;

/**
 * Of a channel with subscribers in several processes each has delivered the same messages, to
 * subscribers of its own.
 * @param {Iterable<[string, number, number][]>} each name, messages a second and subscribers, of
 *   each process
 */
export function busiest(each) {
  const found = new Map();
  for (const [name, rate, subscribers] of [...each].flat()) {
    const [knownRate, known] = found.get(name) ?? [0, 0];
    found.set(name, [Math.max(rate, knownRate), subscribers + known]);
  }
  const rows = [...found].map(([name, [rate, subscribers]]) => [name, rate, subscribers]);
  return rows.toSorted((one, other) => other[1] - one[1]).slice(0, CHANNELS);
}

export function showChannels(root, rows) {
  fill(root, "channels", "Nothing was delivered.", rows, ([name, rate, subscribers]) => [
    isolated("th", name),
    element("td", { class: "live-number" }, number(rate)),
    element("td", { class: "live-number" }, number(subscribers)),
  ]);
}

/** @param {[string, [string, string, string, string, number][]][]} each a process's name, and its
 *   warnings: time, level, logger, text, how often */
export function showWarnings(root, each) {
  const rows = each.flatMap(([process, warnings]) => warnings.map((row) => [process, ...row]));
  const latest = rows.toSorted((one, other) => (one[1] < other[1] ? 1 : -1)).slice(0, WARNINGS);
  fill(root, "warnings", "There was none.", latest, ([process, time, level, logger, said, times]) => [
    element("td", {}, time.slice(0, 19).replace("T", " ")),
    element("td", {}, process),
    element("td", {}, level),
    isolated("td", `${logger}: ${said}`),
    element("td", { class: "live-number" }, number(times)),
  ]);
}

// What users have chosen may be in any script: it moves nothing beside it.
function isolated(kind, text) {
  const cell = element(kind, kind === "th" ? { scope: "row" } : {});
  cell.append(element("bdi", {}, text));
  return cell;
}

function fill(root, name, none, rows, cells) {
  const body = root.querySelector(`tbody[data-of="${name}"]`);
  const empty = root.querySelector(`p[data-of="${name}"]`);
  body.replaceChildren(
    ...rows.map((row) => {
      const line = element("tr");
      line.append(...cells(row));
      return line;
    }),
  );
  empty.textContent = none;
  empty.hidden = rows.length > 0;
  body.closest("div").hidden = rows.length === 0;
}

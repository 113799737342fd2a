// One process of the server: its numbers, their charts, its background tasks.

import { Chart } from "./chart.js";
import { element, number, size } from "./words.js";

const HOUR = 3600;
const AWAY_MS = 30_000;

const milliseconds = (value) => `${number(value)} ms`;

// In the order of a sample's fields behind its time (chat/runtime/live.py).
const NUMBERS = [
  ["Connections", number],
  ["Subscriptions", number],
  ["Messages in, per second", number],
  ["Frames out, per second", number],
  ["Publish to handed over, p99", milliseconds],
  ["Unsent to slow clients", size],
  ["Not committed yet", size],
  ["Waits for the broker", size],
  ["Refusals per minute", number],
  ["Event loop lag, p99", milliseconds],
];

export class Process {
  #samples = [];
  #heardAt; // ms, by performance.now(); until the first sample: since when it is waited for
  #state;
  #tiles;
  #tasks;
  isAway = false;
  channels = [];
  warnings = [];

  /** @param {HTMLElement} section with a heading and a line for its state */
  constructor(section, now) {
    this.element = section;
    this.name = section.querySelector("h2").textContent;
    this.#heardAt = now;
    this.#state = section.querySelector("p");
  }

  static made({ id, host, pid }, now) {
    const section = element("section", { class: "live-process", "aria-labelledby": `live-${id}` });
    section.append(
      element("h2", { id: `live-${id}` }, `${host}, process ${pid}`),
      element("p", { class: "live-process-state" }),
    );
    return new Process(section, now);
  }

  receive({ samples, tasks, channels, warnings }, now) {
    this.#heardAt = now;
    this.channels = channels;
    this.warnings = warnings;
    this.#keep(samples);
    if (!this.#tiles) this.#build();
    this.#show();
    this.#showTasks(tasks);
    this.check(now);
  }

  /** @returns {boolean} whether it has gone away, or come back, since the last call */
  check(now) {
    const silent = now - this.#heardAt;
    const isAway = silent > AWAY_MS;
    const changed = isAway !== this.isAway;
    this.isAway = isAway;
    this.element.classList.toggle("live-away", isAway);
    if (isAway) this.#state.textContent = `Away: no sample for ${number(Math.floor(silent / 1000))} s.`;
    else if (this.#tiles) this.#state.textContent = "";
    return changed;
  }

  /** While nothing can be heard of any process, none is away. */
  wait(now) {
    this.#heardAt = now;
  }

  isForgotten(now) {
    return now - this.#heardAt > HOUR * 1000;
  }

  #keep(samples) {
    const newest = samples.at(-1)[0];
    const first = samples[0][0]; // what comes again is all that there is since then
    const known = this.#samples.filter(([at]) => at < first && newest - at <= HOUR);
    this.#samples = [...known, ...samples];
  }

  #build() {
    const list = element("ul", { class: "live-tiles" });
    this.#tiles = NUMBERS.map(([label, said]) => {
      const chart = new Chart(label);
      const value = element("strong");
      const tile = element("li");
      tile.append(element("span", {}, label), value, chart.element);
      list.append(tile);
      return { chart, value, said };
    });
    const details = element("details");
    const summary = element("summary");
    const tasks = element("ul");
    details.append(summary, tasks);
    this.#tasks = { details, summary, list: tasks };
    this.element.append(list, details);
  }

  #show() {
    const last = this.#samples.at(-1);
    this.#tiles.forEach(({ chart, value, said }, index) => {
      const current = last[index + 1];
      value.textContent = current === null ? "–" : said(current);
      const points = this.#samples.map((sample) => [sample[0], sample[index + 1]]);
      chart.show(points, last[0], said);
    });
  }

  #showTasks(tasks) {
    const { details, summary, list } = this.#tasks;
    const stopped = tasks.filter(([, , pause]) => pause !== 0).length;
    const all = `Background tasks: ${tasks.length - stopped} of ${tasks.length} run`;
    summary.textContent = all;
    if (stopped && !details.dataset.opened) {
      details.open = true;
      details.dataset.opened = "true"; // once: whoever closes it knows
    }
    list.replaceChildren(
      ...tasks.map(([name, failures, pause]) => {
        const item = element("li", pause === 0 ? {} : { class: "live-stopped" });
        item.textContent = `${name}: ${state(pause)}, ${restarts(failures)}`;
        return item;
      }),
    );
  }
}

function state(pause) {
  if (pause === 0) return "runs";
  return pause === null ? "does not run: it failed too often" : `starts again in ${number(pause)} s`;
}

function restarts(failures) {
  if (failures === 0) return "never failed";
  return failures === 1 ? "failed once" : `failed ${number(failures)} times`;
}

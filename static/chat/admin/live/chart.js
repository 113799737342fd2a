// A line of the last hour, as SVG, with its text alternative.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 48;
const TOP = 3; // room for the line's own width
const HOUR = 3600;
const GAP_SECONDS = 25; // longer without a sample: the line has a gap

export class Chart {
  #line = document.createElementNS(SVG, "path");
  #label;

  constructor(label) {
    this.#label = label;
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.element.append(this.#line);
  }

  /**
   * @param {[number, ?number][]} points seconds, ascending, each with a value or null
   * @param {number} now in the same seconds
   * @param {function(number): string} said a value in words
   */
  show(points, now, said) {
    const values = points.map(([, value]) => value).filter((value) => value !== null);
    this.element.setAttribute("aria-label", this.#words(values, said));
    this.#line.setAttribute("d", path(points, now, Math.max(...values, 0) || 1));
  }

  #words(values, said) {
    if (values.length === 0) return `${this.#label} in the last hour: nothing was measured.`;
    const range = `from ${said(Math.min(...values))} to ${said(Math.max(...values))}`;
    return `${this.#label} in the last hour: ${range}, at last ${said(values.at(-1))}.`;
  }
}

function path(points, now, most) {
  let previous = -Infinity; // where the pen is
  const steps = [];
  for (const [at, value] of points) {
    if (value === null) continue;
    const x = WIDTH - ((now - at) / HOUR) * WIDTH;
    const y = HEIGHT - TOP - (value / most) * (HEIGHT - 2 * TOP);
    const goesOn = at - previous <= GAP_SECONDS;
    // A value alone is a dot: a line of no length, which its round ends show.
    steps.push(goesOn ? `L${place(x)} ${place(y)}` : `M${place(x)} ${place(y)}h0`);
    previous = at;
  }
  return steps.join("");
}

const place = (number) => Number(number.toFixed(1));

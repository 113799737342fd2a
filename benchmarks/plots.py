"""Line plots as SVG, small, readable on light and dark pages. No I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 270
HEIGHT: Final = 190
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 30, 38
STYLE: Final = """
text { font: 11px system-ui, sans-serif; fill: #444 }
.title { font-weight: 600; fill: #111 }
.grid { stroke: #ddd } .line { stroke: #0b62c4; fill: none; stroke-width: 2 }
.dot { fill: #0b62c4 }
@media (prefers-color-scheme: dark) {
  text { fill: #bbb } .title { fill: #eee } .grid { stroke: #444 }
  .line { stroke: #6cb0ff } .dot { fill: #6cb0ff }
}
"""


@dataclass(frozen=True)
class Panel:
    """`points` are x and y; y begins at 0, x is logarithmic."""

    title: str
    axis: str
    points: Sequence[tuple[float, float]]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """The panels beside one another; `title` is what is read aloud."""
    drawn = "".join(
        f'<g transform="translate({number * WIDTH},0)">{_panel(panel)}</g>'
        for number, panel in enumerate(panels)
    )
    width = WIDTH * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}"'
        f' height="{HEIGHT}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"{drawn}</svg>\n"
    )


def _panel(panel: Panel) -> str:
    most = _ceiling(max(y for _, y in panel.points))
    first, last = (math.log10(edge(x for x, _ in panel.points)) for edge in (min, max))
    inner, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - first) / ((last - first) or 1)
        return round(LEFT + share * inner, 1), round(TOP + height * (1 - y / most), 1)

    parts = [f'<text class="title" x="{LEFT}" y="16">{escape(panel.title)}</text>']
    for step in range(5):
        value = most * step / 4
        y = round(TOP + height * (1 - step / 4), 1)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{short(value)}</text>'
        )
    placed = [place(*point) for point in panel.points]
    for (x, y), (value, _) in zip(placed, panel.points, strict=True):
        parts.append(
            f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>'
            f'<text x="{x}" y="{HEIGHT - 22}" text-anchor="middle">{short(value)}</text>'
        )
    line = "L".join(f"{x} {y}" for x, y in placed)
    parts.append(f'<path class="line" d="M{line}"/>')
    middle = LEFT + inner / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(panel.axis)}')
    return "".join(parts) + "</text>"


def _ceiling(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10 … that is not below it."""
    size: float = 10.0 ** math.floor(math.log10(value or 1))
    return next(step * size for step in (1, 2, 4, 6, 8, 10) if step * size >= value)


def short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}"[:4].rstrip(".") + unit
    return f"{value:.3g}"

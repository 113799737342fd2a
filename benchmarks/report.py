"""`make bench-report`: tables and plots of docs/performance.md, docs/scaling.md and the README, of
the JSON alone.

Of each scenario the newest results count, those of a full run before those of a short one.
docs/scaling.md is written only where its model holds (`python -m benchmarks --simulate`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import Final

from benchmarks import brokers, plots, results, simulate, targets
from benchmarks.pages import fill, table
from benchmarks.peers import PEERS, Replay
from benchmarks.results import ROOT, Results, Row, Rows
from benchmarks.scenarios.base import Scenario
from benchmarks.scenarios.few import FEW, UNDER_WAY
from benchmarks.scenarios.few import PEERS as FEW_PEERS
from benchmarks.scenarios.growth import GROWTH
from benchmarks.scenarios.registry import SCENARIOS
from benchmarks.scenarios.talk import TALKS

PAGE: Final = ROOT / "docs" / "performance.md"
SCALING: Final = ROOT / "docs" / "scaling.md"
README: Final = ROOT / "README.md"
IMAGES: Final = ROOT / "docs" / "images"
COLUMNS: Final = {
    "rate": ("a second", "{:,.0f}"),
    "messages": ("messages/s", "{:,.0f}"),
    "core_rate": ("a second of CPU", "{:,.0f}"),
    "kb": ("KB", "{:,.1f}"),
    "p50_ms": ("p50 ms", "{:,.2f}"),
    "p99_ms": ("p99 ms", "{:,.2f}"),
    "max_ms": ("most ms", "{:,.2f}"),
    "once_stored_ms": ("p99 ms once stored", "{:,.2f}"),
    "server_us": ("CPU µs each", "{:,.2f}"),
    "server_us_message": ("CPU µs a message", "{:,.1f}"),
    "redis_us_message": ("of it Redis", "{:,.1f}"),
    "check_us": ("µs of a check", "{:,.2f}"),
    "join_ms": ("CPU ms of a join", "{:,.1f}"),
}
"""Figure -> its heading and its format."""

PANELS: Final = {
    "rate": "a second",
    "server_us": "µs of CPU each",
    "p99_ms": "p99, ms",
    "server_mb": "memory, MB",
}
NONE: Final = "\u2013"
SHORT: Final = ("fanout-1", "fanout-100", "fanout-1000", "rooms")


def main() -> None:
    recorded = results.recorded()
    if not recorded:
        raise SystemExit("There are no results yet: make bench, or make bench FULL=1.")
    rows = results.newest_rows(sorted(recorded, key=lambda each: not each.full))
    made: dict[str, Callable[[], str]] = {
        "machine": lambda: _machine(rows),
        "verdicts": lambda: _verdicts(rows),
        "talk": lambda: _talk(rows, list(TALKS)),
        "cpu": lambda: _talk(rows, list(TALKS), "server_us", "{:,.2f}"),
        "few": lambda: _few(rows),
        "others": lambda: _others(rows),
        "growth": lambda: _growth(rows),
        "bytes": lambda: _bytes(rows),
        "limits": lambda: _limits(rows),
        "profile": lambda: _profile(rows),
        "short": lambda: _talk(rows, list(SHORT)),
    }
    for path in (PAGE, README):
        fill(path, made)
    tables = simulate.figures() | brokers.figures()
    fill(SCALING, {name: partial(str, text) for name, text in tables.items()})


def _machine(rows: Rows) -> str:
    """What was measured when, on what; runs of one day on one machine together."""
    used: dict[str, list[Results]] = {}
    for of in {of.date: of for _, of in rows.values()}.values():
        machine = of.machine
        form = "in full" if of.full else "in the short form"
        about = (
            f"{of.date[:10]}, {form}: {machine['cores']} cores ({machine['model']}),"
            f" {machine['memory_gb']} GB, Linux {machine['kernel']}"
        )
        used.setdefault(about, []).append(of)
    return "\n" + "".join(f"- {about}, {_runs(used[about])}.\n" for about in sorted(used)) + "\n"


def _runs(of: Sequence[Results]) -> str:
    commits = ", ".join(sorted({each.commit for each in of}))
    loads = sorted(each.machine["load"] for each in of)
    versions = {name: version for each in of for name, version in each.versions.items()}
    used = ", ".join(f"{name} {version}".strip() for name, version in sorted(versions.items()))
    return f"load before {loads[0]} to {loads[-1]}, commits {commits}; {used}"


def _verdicts(rows: Rows) -> str:
    lines = []
    for target in targets.TARGETS:
        if (outcome := target.judge(rows)) is not None:
            verdict = "reached" if outcome.reached else "**missed**"
            lines.append([outcome.title, outcome.wanted, outcome.got + outcome.by_cpu, verdict])
        else:
            lines.append([target.title, target.wanted, "not measured", ""])
    return table(("what", "to reach", "reached", "verdict"), lines)


def _talk(rows: Rows, names: Sequence[str], figure: str = "rate", shape: str = "{:,.0f}") -> str:
    lines = []
    for side, peer in PEERS.items():
        cells = []
        for name in names:
            row = rows.get((name, side))
            value = row[0].median(figure) if row else None
            cells.append(NONE if value is None else shape.format(value))
        if set(cells) != {NONE}:
            lines.append([peer.title, *cells])
    return table(("", *(SCENARIOS[name].title for name in names)), lines)


def _few(rows: Rows) -> str:
    """Microseconds of CPU of a delivery, less those within the kernel, and what that leaves."""
    lines = []
    for few in FEW:
        measured = [rows.get((few.name, side)) for side in FEW_PEERS]
        for count in UNDER_WAY if any(measured) else ():
            cells = []
            for found in measured:
                used = found[0].median(f"server_us_{count}") if found else None
                if found is None or used is None:
                    cells.append(NONE)
                    continue
                kernel = mean(run[f"kernel_us_{count}"] for run in found[0].runs)
                cells.append(f"{used:,.2f} \u2212 {kernel:,.2f} = {used - kernel:,.2f}")
            lines.append([f"{few.talk.title}, {count} under way", *cells])
    titles = (PEERS[side].title for side in FEW_PEERS)
    return table(("", *titles), lines) if lines else "\nNot measured yet.\n\n"


def _others(rows: Rows) -> str:
    skipped = {*TALKS, *(each.name for each in (*FEW, *GROWTH))}
    return "\n".join(
        _scenario(scenario, own)
        for name, scenario in SCENARIOS.items()
        if name not in skipped
        and (own := [row for (of, _), (row, _) in rows.items() if of == name])
    )


def _scenario(scenario: Scenario, rows: Sequence[Row]) -> str:
    figures = [name for name in COLUMNS if any(row.median(name) is not None for row in rows)]
    if all(_same(row.median("rate"), row.median("messages")) for row in rows):
        figures = [name for name in figures if name not in ("messages", "server_us_message")]
    lines = []
    for row in rows:
        if row.refused:
            lines.append([row.title, *[NONE] * (len(figures) - 1), row.refused])
            continue
        values = [(row.median(name), COLUMNS[name][1]) for name in figures]
        lines.append([row.title, *("" if v is None else form.format(v) for v, form in values)])
    heads = [COLUMNS[name][0] for name in figures]
    return table((scenario.title, *heads), lines)


def _same(rate: float | None, messages: float | None) -> bool:
    """Whether each message is delivered once: deliveries and whole chunks end at other times."""
    return rate is None or messages is None or 0.8 < messages / rate < 1.25


def _growth(rows: Rows) -> str:
    parts = []
    for scenario in GROWTH:
        own = [row for (of, _), (row, _) in rows.items() if of == scenario.name and not row.refused]
        if len(own) < 2:
            continue
        panels = [
            plots.Panel(title, scenario.axis, _points(own, figure))
            for figure, title in PANELS.items()
        ]
        IMAGES.mkdir(exist_ok=True)
        (IMAGES / f"{scenario.name}.svg").write_text(plots.svg(scenario.title, panels))
        values = [
            [row.title, *(f"{row.median(figure) or 0:,.4g}" for figure in PANELS)] for row in own
        ]
        heads = (scenario.axis, *PANELS.values())
        parts.append(
            f"\n### {scenario.title[:1].upper()}{scenario.title[1:]}\n\n"
            f"![{scenario.title}](images/{scenario.name}.svg)\n" + table(heads, values)
        )
    return "".join(parts)


def _limits(rows: Rows) -> str:
    """What of ours the kernel and the disk do, and how near to them it is."""
    lines = []
    for name in TALKS:
        row = rows.get((name, "ours"))
        if row and (writes := row[0].median("writes")):
            rate, size = row[0].median("rate") or 0, row[0].median("delivered_bytes") or 0
            lines.append(
                [
                    SCENARIOS[name].title,
                    f"{writes:,.3f}",
                    f"{size:,.0f}",
                    f"{rate * size / 1e6:,.0f}",
                ]
            )
    heads = ("ours", "write calls a delivery", "bytes a delivery", "MB/s into the kernel")
    disk = rows.get(("steady-sqlite", "disk"))
    sync = disk[0].median("p50_ms") if disk else None
    if not sync:
        return table(heads, lines)
    said = f"One fsync of 4 KiB takes {sync:.2f} ms here: {1e3 / sync:,.0f} commits a second."
    return table(heads, lines) + said + "\n\n"


def _profile(rows: Rows) -> str:
    """Microseconds a message that each part of its way takes, for every scenario looked at."""
    names = list(dict.fromkeys(name for name, _ in rows if name.startswith("profile-")))
    sides = list(dict.fromkeys(side for name, side in rows if name in names))
    lines = []
    for side in sides:
        found = [rows[name, side][0].median("us") if (name, side) in rows else 0 for name in names]
        lines.append([side, *(f"{value or 0:,.1f}" for value in found)])
    titles = (SCENARIOS[name.removeprefix("profile-")].title for name in names)
    return table(("µs a message", *titles), lines) if lines else "\nNot measured yet.\n\n"


def _points(rows: Sequence[Row], figure: str) -> list[tuple[float, float]]:
    found = ((float(row.side), row.median(figure)) for row in rows)
    return [(x, y) for x, y in found if y is not None]


def _bytes(rows: Rows) -> str:
    """How large what was sent and delivered is, frame headers included."""
    lines = []
    for side, peer in PEERS.items():
        row = rows.get(("fanout-1", side))
        if (
            side != Replay.name
            and row
            and (sent := row[0].median("sent_bytes"))
            and row[0].median("delivered_bytes")
        ):
            delivered = row[0].median("delivered_bytes") or 0
            lines.append([peer.title, f"{sent:,.0f}", f"{delivered:,.0f}", peer.lacks or NONE])
    return table(("", "bytes sent", "bytes delivered", "what it does not do"), lines)


if __name__ == "__main__":
    main()

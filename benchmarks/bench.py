"""`make bench`: ours beside its peers, each row in the same run.

Server and generator have a core each. Sides take turns, several times, and medians are compared;
where the machine has other work, the CPU time of a delivery is the steadiest figure. Without
--full, the scenarios that fit into five minutes.
"""

import argparse
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import cpu, results, targets
from benchmarks.generator.connection import Refused
from benchmarks.peers import PEERS, Replay
from benchmarks.results import Results, Row
from benchmarks.scenarios.base import VERSIONS, Options, Scenario
from benchmarks.scenarios.few import UNDER_WAY
from benchmarks.scenarios.registry import SCENARIOS
from tests.support.servers import StartError

RUNS: Final = 3
SECONDS: Final = {False: 0.6, True: 2.0}
"""Of one run: of the short form, of the full one."""

PATIENCE_SECONDS: Final = 3
"""In the short form, a side that has taken longer than this is not run again, unless its scenario
says how often it is."""

ONCE_SECONDS: Final = 200
OVER_SECONDS: Final = 270
"""After so long, the short form runs what is left once; after so long, not at all."""

BUSY: Final = 0.9
FAILURES: Final = (
    *(Refused, StartError, OSError, ValueError, subprocess.SubprocessError),
    *(sqlite3.Error, psycopg.Error),
)


def main() -> None:
    options = _arguments()
    chosen = [
        SCENARIOS[name]
        for name in options.only or SCENARIOS
        if options.only or options.full or SCENARIOS[name].short
    ]
    measured = results.fresh(full=options.full)
    before = results.newest_rows(results.like(measured, results.recorded()))
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-bench-") as directory,
        cpu.pinned(cpu.GENERATOR),
    ):
        began = time.monotonic()
        for number, scenario in enumerate(chosen):
            took = time.monotonic() - began
            if not (options.full or options.only) and took > ONCE_SECONDS:
                options.runs = 1
                if took > OVER_SECONDS:
                    print(f"\n{scenario.title}\n  left out: the short form's time is over")
                    continue
            own = Path(directory) / f"{number}-{scenario.name}"
            own.mkdir(mode=0o755)
            measured.rows += run(scenario, own, options)
            print(f"  ({time.monotonic() - began - took:.0f} s)", flush=True)
            measured.versions |= VERSIONS
            if options.save:  # what stands is kept where the rest fails
                measured.write(results.path_of(measured))
    _conclude(measured, before)


def run(scenario: Scenario, directory: Path, options: argparse.Namespace) -> list[Row]:
    """Prints as it goes."""
    print(f"\n{scenario.title}", flush=True)
    seconds = options.seconds or SECONDS[options.full]
    settings = Options(seconds, options.chunk, options.rows, options.full)
    rows: dict[str, Row] = {}
    spent: dict[str, float] = {}
    try:
        with scenario.sides(directory, options.peers, settings) as sides:
            for _ in range(scenario.runs or options.runs):
                for side, once in sides.items():
                    title = scenario.title_of(side)
                    row = rows.setdefault(side, Row(scenario.name, side, title))
                    patient = options.full or scenario.runs
                    if spent.get(side, 0) > PATIENCE_SECONDS and not patient:
                        continue
                    began = time.monotonic()
                    try:
                        row.runs.append(once())
                    except FAILURES as error:
                        row.refused = f"it failed: {type(error).__name__} {error}"
                    spent[side] = spent.get(side, 0) + time.monotonic() - began
    except FAILURES as error:
        print(f"  left out: {error}")
    for row in rows.values():
        row.refused = row.refused or bottleneck(row)
        row.notes |= scenario.notes()
        print(line(row), flush=True)
    return list(rows.values())


def bottleneck(row: Row) -> str:
    """Why a row says nothing of the server, where the generator held it up."""
    if row.side == Replay.name:
        return ""  # it is there to see this
    own, served = _wanted(row, "generator"), _wanted(row, "server")
    if own is None or served is None or own <= BUSY or served > BUSY:
        return ""
    return f"the generator was the bottleneck: busy {own:.0%}, the server {served:.0%}"


def _wanted(row: Row, who: str) -> float | None:
    """The share of the time in which it ran or waited for its core."""
    busy, waited = row.median(f"{who}_busy"), row.median(f"{who}_waited")
    return None if busy is None or waited is None else busy + waited


UNITS: Final = {
    "rate": "{:,.0f}/s",
    "server_us": "{:,.2f} µs",
    "server_busy": "server {:.0%}",
    "generator_busy": "generator {:.0%}",
    "core_rate": "{:,.0f}/s a core",
    "kb": "{:,.1f} KB",
    "server_mb": "{:,.0f} MB",
    "ceiling": "of {:,.0f}/s",
    "p50_ms": "p50 {:.2f} ms",
    "p99_ms": "p99 {:.2f} ms",
    "max_ms": "most {:.2f} ms",
    "once_stored_ms": "p99 {:.2f} ms once stored",
    **{f"server_us_{count}": f"{count}: {{:,.2f}} µs" for count in UNDER_WAY},
}
QUIET: Final = {
    *("sent_bytes", "delivered_bytes", "generator_us", "messages", "server_us_message"),
    *("server_waited", "generator_waited", "writes", "kernel_us"),
    *(f"{name}_{count}" for name in ("rate", "kernel_us") for count in UNDER_WAY),
}


def line(row: Row) -> str:
    if row.refused:
        return f"  {row.title:<32} refused: {row.refused}"
    shown = [
        UNITS.get(name, f"{name} {{:,.2f}}").format(value)
        for name, value in row.medians().items()
        if name not in QUIET
    ]
    return f"  {row.title:<32}{'  '.join(f'{each:>12}' for each in shown)}"


def _conclude(measured: Results, before: results.Rows) -> None:
    found = {(row.scenario, row.side): (row, measured) for row in measured.rows}
    judged = [outcome for target in targets.TARGETS if (outcome := target.judge(found))]
    if judged:
        print("\nFigures to reach")
    for outcome in judged:
        print(f"  {outcome}")
    figures = ("server_us", *(f"server_us_{count}" for count in UNDER_WAY))
    regressed = [s for figure in figures for s in results.regressions(measured, before, figure)]
    for sentence in regressed:
        print(f"Regression: {sentence}")
    if before and not regressed:
        print("No delivery costs over 10 % more CPU than when it was last recorded.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    known = list(PEERS)
    parser.add_argument("--only", type=_listed(list(SCENARIOS)), help=",".join(SCENARIOS))
    parser.add_argument("--full", action="store_true", help="all scenarios")
    parser.add_argument("--peers", type=_listed(known), default=known, help=",".join(known))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=float, default=0, help="of one run; 0: as suits the form")
    parser.add_argument("--chunk", type=int, default=0, help="frames that are sent at once")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the largest table")
    parser.add_argument("--save", action="store_true", help=f"write to {results.DIRECTORY.name}/")
    return parser.parse_args()


def _listed(known: list[str]) -> type:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {known}")
        return names

    return parse  # type: ignore[return-value]


if __name__ == "__main__":
    main()

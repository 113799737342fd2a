"""`make bench-against REV=…`: compares this working tree with another commit, in one run.

Both sides do the same work in turn: A B B A, then B A A B. The figure is the server's CPU time for
one operation, which other work on the machine changes least; PostgreSQL and Redis count as part of
the server. Each pair gives a ratio, and the ratios give a 95 % interval. A row fails where the
whole interval is above the row's limit. A row whose interval contains the limit gets more than
seven pairs; if that does not help, it is "in doubt", and passes. Exits with 1 where a row failed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import checkouts, cpu
from benchmarks.bench import FAILURES
from benchmarks.checkouts import CHECKOUT, Checkout
from benchmarks.measure import interval
from benchmarks.peers.ours import STARTED
from benchmarks.scenarios.base import Options, Run, Scenario
from benchmarks.scenarios.few import FEW
from benchmarks.scenarios.processes import LINKED
from benchmarks.scenarios.reactions import REACTIONS
from benchmarks.scenarios.regression import Pages, Posting, SmallIdle, SmallPresence, Subscribing
from benchmarks.scenarios.stored import STORED, Stored
from benchmarks.scenarios.talk import TALKS

PAIRS: Final = 7
MOST_PAIRS: Final = 15
"""For a row in doubt, within its share of ALL_SECONDS."""

ALL_SECONDS: Final = 840
MOST_FAILURES: Final = 3
QUIET_SECONDS: Final = 5
QUIET: Final = 0.05
COLUMNS: Final = "{:<22}{:>12}{:>12}{:>8}  {:<16}{:<6}{}"


@dataclass(frozen=True)
class Row:
    """`runs` is how often a pair measures each side: the smaller figure counts, since other work on
    the machine only adds. `pairs` is how many pairs two servers serve before new ones start: two
    processes of the same code differ by some percent. `limit` is the ratio's."""

    scenario: Scenario
    figure: str = "server_us"
    unit: str = "µs"
    seconds: float = 0.6
    runs: int = 2
    pairs: int = 1
    limit: float = 1.05

    @property
    def name(self) -> str:
        return self.scenario.name


ROWS: Final = {
    row.name: row
    for row in (
        *(Row(talk) for talk in TALKS.values()),
        *(Row(few, "server_us_1", seconds=1.5) for few in (FEW[0], FEW[-1])),
        *(
            # Starting PostgreSQL takes longer than measuring several pairs.
            Row(each, seconds=1.0, pairs=1 if each.kind == "sqlite" else 4)
            for each in STORED
            if isinstance(each, Stored)
        ),
        Row(REACTIONS[0]),
        Row(Pages()),
        Row(Subscribing()),
        Row(SmallPresence(), "join_ms", "ms"),
        Row(replace(LINKED, on_postgresql=False), pairs=4),
        Row(Posting()),
        Row(SmallIdle(), "kb", "KB", runs=1, limit=1.03),
    )
}


@dataclass
class Comparison:
    """`taken` has the figures of each side, pair by pair."""

    row: Row
    taken: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    error: str = ""

    @property
    def ratios(self) -> list[float]:
        return [this / other for this, other in zip(*self.taken, strict=True)]

    @property
    def pairs(self) -> int:
        return len(self.taken[0])

    def add(self, this: float, other: float) -> None:
        for side, figure in zip(self.taken, (this, other), strict=True):
            side.append(figure)

    def wants_more(self, until: float) -> bool:
        if self.error or self.pairs < PAIRS:
            return not self.error
        return self.pairs < MOST_PAIRS and self.in_doubt and time.monotonic() < until

    @property
    def in_doubt(self) -> bool:
        least, _, most = interval(self.ratios)
        return least <= self.row.limit < most

    @property
    def failed(self) -> bool:
        return bool(self.error) or interval(self.ratios)[0] > self.row.limit

    def last(self, names: Sequence[str]) -> str:
        """A line about the last pair."""
        shown = (
            f"{name} {self._shown(side[-1])}" for name, side in zip(names, self.taken, strict=True)
        )
        ratio = self.ratios[-1]
        return f"  {self.row.name}, pair {self.pairs}: {'  '.join(shown)}  {ratio:.3f}"

    def _shown(self, figure: float) -> str:
        number = f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
        return f"{number} {self.row.unit}"

    def __str__(self) -> str:
        if self.error:
            return f"{self.row.name:<22}FAILED: {self.error}"
        least, middle, most = interval(self.ratios)
        this, other = (self._shown(median(side)) for side in self.taken)
        verdict = "FAILED" if self.failed else "in doubt" if self.in_doubt else "passed"
        between = f"{least:.3f} … {most:.3f}"
        limit = f"{self.row.limit:.2f}"
        return COLUMNS.format(self.row.name, this, other, f"{middle:.3f}", between, limit, verdict)


def compare(row: Row, sides: Sequence[Checkout], directory: Path, until: float) -> Comparison:
    """Prints a line for each pair; a row in doubt gets no new pair after `until`."""
    comparison = Comparison(row)
    failures = 0
    while comparison.wants_more(until):
        try:
            with (
                tempfile.TemporaryDirectory(dir=directory) as own,
                closing(_measured(row, sides, Path(own), comparison.pairs)) as pairs,
            ):
                while comparison.wants_more(until) and (taken := next(pairs, None)):
                    comparison.add(*taken)
                    print(comparison.last([side.name for side in sides]), flush=True)
        except FAILURES as error:
            failures += 1
            print(f"  {row.name}: {type(error).__name__} {error}", flush=True)
            if failures == MOST_FAILURES:
                comparison.error = f"{type(error).__name__} {error}"
    return comparison


def _measured(
    row: Row, sides: Sequence[Checkout], directory: Path, first: int
) -> Generator[tuple[float, float]]:
    """Starts both servers, then measures `row.pairs` pairs; `first` is the number of the first."""
    directory.chmod(0o755)  # PostgreSQL runs as another user
    with ExitStack() as stack:
        runs = {at: _started(row, sides[at], directory / str(at), stack) for at in _order(first)}
        for number in range(first, first + row.pairs):
            least = [inf, inf]
            for at in (*_order(number), *reversed(_order(number)))[: 2 * row.runs]:
                CHECKOUT.set(sides[at])
                least[at] = min(least[at], runs[at]()[row.figure])
                _wait_until_quiet()
            yield least[0], least[1]


def _order(pair: int) -> tuple[int, int]:
    return (0, 1) if pair % 2 else (1, 0)


def _started(row: Row, side: Checkout, directory: Path, stack: ExitStack) -> Run:
    directory.mkdir(mode=0o755)
    CHECKOUT.set(side)
    sides = row.scenario.sides(directory, ["ours"], Options(row.seconds))
    return stack.enter_context(sides)["ours"]


def _wait_until_quiet() -> None:
    """Returns when the servers have finished the work that the last run left, or after 5 s."""
    pids = [pid for running in STARTED for pid in running.pids]
    deadline = time.monotonic() + QUIET_SECONDS
    used = -1.0
    while used < 0 or (used > QUIET * 0.1 and time.monotonic() < deadline):
        before = cpu.used(pids)
        time.sleep(0.1)
        used = cpu.used(pids) - before


def main() -> None:
    options = _arguments()
    if not options.revision:
        sys.exit("Which commit? For example: make bench-against REV=6a94d71")
    rows = [ROWS[name] for name in options.rows or ROWS]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-against-") as name,
        cpu.pinned(cpu.GENERATOR),
    ):
        directory = Path(name)
        directory.chmod(0o755)
        try:
            other = checkouts.commit(options.revision, directory / "other")
        except ValueError as error:
            sys.exit(str(error))
        sides = (checkouts.working_tree(directory / "this"), other)
        load = os.getloadavg()[0]
        print(f"{len(rows)} rows, this working tree against {other.name}; load before {load:.1f}")
        compared = []
        for number, row in enumerate(rows, 1):
            until = began + ALL_SECONDS * number / len(rows)
            compared.append(compare(row, sides, directory, until))
            print(compared[-1], flush=True)
    heads = ("row", "this", other.name, "ratio", "95 % interval", "limit", "")
    print(f"\nCPU of the server for one operation, {time.monotonic() - began:.0f} s:")
    print(COLUMNS.format(*heads).rstrip())
    for comparison in compared:
        print(comparison)
    sys.exit(any(comparison.failed for comparison in compared))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("revision", metavar="REV", nargs="?")
    parser.add_argument("--rows", type=_listed, help=",".join(ROWS))
    return parser.parse_args()


def _listed(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


if __name__ == "__main__":
    main()

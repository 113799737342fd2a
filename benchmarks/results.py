"""What was measured, as JSON: rows with all their runs, and where and on what they ran."""

import json
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DIRECTORY: Final = Path(__file__).resolve().parent / "results"
MORE: Final = 1.10
"""A regression is CPU a delivery above this share of the last recorded."""


@dataclass
class Row:
    """One side of one scenario. `refused` says why it counts for nothing."""

    scenario: str
    side: str
    title: str
    runs: list[dict[str, float]] = field(default_factory=list)
    refused: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    def median(self, figure: str) -> float | None:
        taken = [run[figure] for run in self.runs if figure in run]
        return median(taken) if taken and not self.refused else None

    def medians(self) -> dict[str, float]:
        names = {name: None for run in self.runs for name in run}
        return {name: round(median(r[name] for r in self.runs if name in r), 4) for name in names}


@dataclass
class Results:
    date: str
    commit: str
    machine: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    full: bool = False
    rows: list[Row] = field(default_factory=list)

    def row(self, scenario: str, side: str) -> Row | None:
        found = (r for r in self.rows if (r.scenario, r.side) == (scenario, side))
        return next(found, None)

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        rows = [asdict(row) | {"medians": row.medians()} for row in self.rows]
        path.write_text(json.dumps(asdict(self) | {"rows": rows}, indent=1, ensure_ascii=False))


Rows = Mapping[tuple[str, str], tuple[Row, Results]]
"""Scenario and side -> the row, and what it is of."""


def read(path: Path) -> Results:
    stored = json.loads(path.read_text())
    rows = [Row(**{k: v for k, v in row.items() if k != "medians"}) for row in stored.pop("rows")]
    return Results(**stored, rows=rows)


def recorded(directory: Path = DIRECTORY) -> list[Results]:
    """The newest first."""
    found = [read(path) for path in directory.glob("*.json")]
    return sorted(found, key=lambda each: each.date, reverse=True)


def fresh(*, full: bool) -> Results:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    own = {name: version(name) for name in ("django", "channels", "uvicorn", "uvloop", "psycopg")}
    return Results(now, commit(), machine(), own | {"sqlite": sqlite3.sqlite_version}, full)


def path_of(results: Results, directory: Path = DIRECTORY) -> Path:
    kind = "" if results.full else "-short"
    return directory / f"{re.sub('[:Z]', '', results.date)}-{results.commit}{kind}.json"


def like(results: Results, others: Iterable[Results]) -> list[Results]:
    """Those that were measured in the same form on such a machine."""
    same = ("model", "cores", "python")
    return [
        each
        for each in others
        if each.full == results.full
        and all(each.machine.get(name) == results.machine[name] for name in same)
    ]


def newest_rows(all_results: Iterable[Results]) -> Rows:
    """Each row of the newest results that have its scenario, since a ratio is of one run."""
    taken: dict[str, Results] = {}
    found = {}
    for results in all_results:
        for row in results.rows:
            if taken.setdefault(row.scenario, results) is results:
                found[row.scenario, row.side] = row, results
    return found


def regressions(now: Results, before: Rows, figure: str = "server_us") -> list[str]:
    """A sentence for each of our rows that costs more CPU than when it was last recorded."""
    sentences = []
    for row in now.rows:
        old, then = before.get((row.scenario, row.side), (None, None))
        cost, was = row.median(figure), old.median(figure) if old else None
        if row.side != "ours" or cost is None or was is None or then is None:
            continue
        if cost > was * MORE:
            sentences.append(
                f"{row.scenario}: {cost:.2f} µs of CPU a delivery, {cost / was - 1:+.0%} of the"
                f" {was:.2f} recorded at {then.commit} on {then.date[:10]}."
            )
    return sentences


def commit() -> str:
    shown = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "chat", "chatsite", "tokens")
    return f"{shown}-changed" if changed else shown


def _git(*arguments: str) -> str:
    outcome = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.stdout.strip()


def machine() -> dict[str, Any]:
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    return {
        "cores": os.cpu_count(),
        "model": model[1] if model else platform.machine(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 1),
    }

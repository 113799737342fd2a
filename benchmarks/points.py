"""What is measured of messages, and where the figures are kept."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.databases import TITLES, Kind
from benchmarks.results import commit, machine

MEASURED: Final = Path(__file__).parent / "measured.json"
DATABASES: Final[dict[str, Kind]] = {title: kind for kind, title in TITLES.items()}
TOGETHER: Final = (1, 4, 8, 50)
"""How many come together, of those who visit. The model takes its costs from one and from eight:
of more, the event loop and the writer's thread want the interpreter at the same time, and each
costs as much as with eight or a little more."""

CROWDS: Final = (4000, 8000)
"""Idle connections, of which the first are fitted."""

RESTING: Final = "an idle process, each second"

Costs = dict[str, float]
"""Microseconds of CPU by program."""


@dataclass(frozen=True)
class Point:
    """Messages in `rooms` of as many `publishers` each, who send `chunk` at once, to `members` a
    room: of the publishers' process or, `across`, of another."""

    members: int
    chunk: int = 1
    rooms: int = 1
    ahead: int = 1  # chunks of each publisher that are on their way
    everyone: bool = False  # the members are the publishers
    database: str = ""  # where they are stored
    publishers: int = 1  # of stored messages, in `channels`, all with one reader
    channels: int = 1
    across: bool = False
    fitted: bool = False  # unit costs are taken from it; the others are what is to be reproduced

    @property
    def speakers(self) -> int:
        """Of a room."""
        return self.members if self.everyone else self.publishers

    @property
    def hearers(self) -> int:
        """Of a message."""
        return self.members - self.everyone

    @property
    def place(self) -> str:
        """The database of the process that has it all."""
        return self.database or "SQLite"

    @property
    def name(self) -> str:
        where = ", across" if self.across else ""
        many = f"{self.chunk} at once" if self.ahead == 1 else f"{self.ahead} x {self.chunk}"
        if self.database:
            kind = f"stored in {self.database}{where}: {self.publishers} publishers"
            return f"{kind}, {self.channels} channels, {many}"
        who = f"{self.members} talking" if self.everyone else f"1 → {self.members:,}"
        return f"not stored{where}: {self.rooms} x {who}, {many}"


def _stored(publishers: int, channels: int, chunk: int, **more: Any) -> list[Point]:
    kept: dict[str, Any] = {"publishers": publishers, "channels": channels, "chunk": chunk, **more}
    return [Point(1, database=database, **kept) for database in DATABASES]


POINTS: Final = (
    Point(1, fitted=True),
    Point(1, chunk=64, fitted=True),
    Point(10, fitted=True),
    Point(100, fitted=True),
    Point(100, chunk=32, fitted=True),
    Point(1000, fitted=True),
    Point(1000, chunk=4, fitted=True),
    Point(1000, chunk=16, fitted=True),
    Point(2, rooms=50, fitted=True),
    Point(2, rooms=500, everyone=True, chunk=4, fitted=True),
    Point(100, chunk=32, ahead=2, fitted=True),
    *_stored(1, 1, 1, fitted=True),
    *_stored(8, 1, 1, fitted=True),
    *_stored(64, 1, 4, ahead=2, fitted=True),
    *_stored(64, 64, 1, fitted=True),
    *_stored(64, 64, 8, fitted=True),
    *_stored(64, 64, 4, ahead=2, fitted=True),
    *_stored(64, 1, 1, fitted=True),
    Point(1, across=True, fitted=True),
    Point(1, chunk=64, across=True, fitted=True),
    Point(1, rooms=4, across=True, fitted=True),
    Point(1, rooms=16, chunk=4, across=True, fitted=True),
    *_stored(64, 1, 8, fitted=True),
    Point(1, chunk=8),
    Point(1, chunk=128, ahead=2),
    Point(10, chunk=16),
    Point(100, chunk=8),
    Point(300, chunk=4),
    Point(9, rooms=50, chunk=2),
    Point(2, rooms=100, everyone=True, chunk=2),
    *_stored(16, 16, 4),
    *_stored(32, 32, 4, ahead=2),
    Point(1, chunk=8, across=True),
    Point(1, rooms=16, across=True),
    Point(100, chunk=8, across=True),
    Point(1000, chunk=16, across=True),
)


def visits_of(together: int, database: str) -> str:
    return f"visits, {together} together, {database}"


def idle_of(connections: int) -> str:
    return f"an idle connection of {connections:,}, each second"


def write(found: dict[str, Costs], runs: int) -> None:
    kept = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), "runs": runs}
    costs = {"commit": commit(), "costs": found}
    MEASURED.write_text(json.dumps(kept | costs, indent=1, ensure_ascii=False) + "\n")


def read() -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(MEASURED.read_text())
    return measured

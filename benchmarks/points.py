"""What is measured of messages, and where the figures are kept."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).parent / "measured.json"


@dataclass(frozen=True)
class Point:
    """Messages in `rooms` of as many publishers, each of which has `chunk` messages on the way, to
    `receivers` a room: of the publisher's process or, `across`, of another."""

    receivers: int
    chunk: int = 1
    rooms: int = 1
    stored: bool = False
    database: str = "sqlite"
    across: bool = False
    fitted: bool = False  # unit costs are taken from it; the others are what is to be reproduced

    @property
    def name(self) -> str:
        kind = f"stored in {self.database}" if self.stored else "not stored"
        where = " across" if self.across else ""
        return f"{kind}{where}: {self.rooms} x 1→{self.receivers}, {self.chunk} at once"


POSTGRES: Final[dict[str, Any]] = {"database": "postgres"}
ACROSS: Final[dict[str, Any]] = {"database": "postgres", "across": True}

POINTS: Final = (
    Point(1, fitted=True),
    Point(30, fitted=True),
    Point(300, fitted=True),
    Point(1, chunk=64, fitted=True),
    Point(1, chunk=8),
    Point(10),
    Point(100, chunk=8),
    Point(300, chunk=64),
    Point(1000),
    Point(1000, chunk=16),
    Point(2, rooms=50),
    Point(1, stored=True, fitted=True),
    Point(1, stored=True, rooms=64, fitted=True),
    Point(1, stored=True, rooms=16),
    Point(100, stored=True, rooms=4),
    Point(1, stored=True, fitted=True, **POSTGRES),
    Point(1, stored=True, rooms=64, fitted=True, **POSTGRES),
    Point(1, stored=True, rooms=16, **POSTGRES),
    Point(1, fitted=True, **ACROSS),
    Point(1, chunk=64, fitted=True, **ACROSS),
    Point(1, rooms=16, fitted=True, **ACROSS),
    Point(1, rooms=4, **ACROSS),
    Point(1, chunk=8, **ACROSS),
    Point(100, chunk=8, **ACROSS),
)


def write(medians: dict[str, dict[str, float]], date: str, runs: int) -> None:
    machine = f"{os.cpu_count()} cores, {os.uname().machine}"
    kept = {"date": date, "machine": machine, "runs": runs, "costs": medians}
    MEASURED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def read() -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(MEASURED.read_text())
    return measured

"""Deletes what has expired, in short transactions between which the server writes on.

Deletes only what no read of the server can see any more (protocol.md section 8), some time after
that. Each transaction is whole: a message is deleted with all its reactions, or both stay. Several
purges at once share the work.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from django.db import DatabaseError
from psycopg.errors import DeadlockDetected, LockNotAvailable

from .database import Database, Key
from .kinds import KINDS, NAMES, Kind

MAX_BATCH: Final = 10_000

HOLD: Final = {"sqlite": 0.0005, "postgresql": 0.005}
"""For how many seconds a transaction holds its locks beside a live server. On SQLite the server's
writer waits for them."""
MIN_PAUSE: Final = 0.0025  # seconds

type Counts = dict[str, int]


class Stop:
    """Ends a purge between two transactions: on request, or after `max_seconds`."""

    def __init__(self, max_seconds: float = float("inf")) -> None:
        self._reason: str | None = None
        self._deadline = time.monotonic() + max_seconds

    def request(self, reason: str) -> None:
        """Takes no lock, so a signal handler may call it."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> str | None:
        """Why to stop now; None: go on."""
        return self._reason or ("max_seconds" if time.monotonic() >= self._deadline else None)


@dataclass(slots=True)
class Report:
    """Rows by kind: how many were deleted, and how many are due and still there.

    `left` lacks what was not counted. `stopped` is the reason why the purge ended early.
    """

    removed: Counts = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    left: Counts = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str | None = None


class PurgeError(Exception):
    """The database failed. `report` has what was deleted before: that stays deleted."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report


def count_due(*, stop: Stop | None = None, indexed_only: bool = False) -> Report:
    """What a purge would delete now, as `left`; changes nothing. Raises PurgeError.

    `indexed_only`: only the kinds that an index counts in a moment.
    """
    stop = stop or Stop()
    with _reporting() as report, Database() as database:
        now = database.now()
        for kind in KINDS:
            report.stopped = stop.reason
            if report.stopped:
                break
            if kind.indexed or not indexed_only:
                report.left[kind.name] = kind.count(database, now)
            if not indexed_only:
                report.left |= kind.count_parts(database, now)
    return report


def purge(
    *,
    batch_size: int = MAX_BATCH,
    stop: Stop | None = None,
    on_progress: Callable[[str, int], None] = lambda kind, removed: None,
) -> Report:
    """Deletes what is due now, by the database's clock, in transactions of at most `batch_size`
    rows (1 up) of a kind. After each it calls `on_progress` with the kind and the number of rows.

    Uses a connection of its own, so do not call it inside a transaction: on SQLite it would wait
    for that one. Raises PurgeError.
    """
    stop = stop or Stop()
    with _reporting() as report, Database() as database:
        now, pace = database.now(), Pace(batch_size)
        for kind, keys in _batches(database, now, pace):
            report.stopped = stop.reason
            if report.stopped:
                break
            removed = remove_rows(database, kind, keys, now)
            for name, count in removed.items():
                report.removed[name] += count
            on_progress(kind.name, removed.get(kind.name, 0))
            time.sleep(pace.pause(database))
        report.left = {kind.name: kind.count(database, now) for kind in KINDS if kind.indexed}
        database.shrink_log()
    return report


@contextmanager
def _reporting() -> Iterator[Report]:
    """Measures the time, and raises PurgeError with the report where the database fails."""
    report = Report()
    began = time.monotonic()
    try:
        yield report
    except DatabaseError as error:
        raise PurgeError(report) from error
    finally:
        report.seconds = time.monotonic() - began


class Pace:
    """Keeps a purge from starving a live server: small transactions, and long pauses.

    Beside a server, the purge pauses for twice as long as each transaction took. Then a writer
    that waits for SQLite's lock gets it after one transaction: SQLite looks for the lock after
    1, 2, 5, 10, … ms, so it sleeps no longer than twice the time for which it has waited.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.rows = min(20, limit)
        """How many the next transaction takes."""

    def pause(self, database: Database) -> float:
        """Seconds to wait after the last transaction."""
        beside_server = database.has_live_server()
        hold, rest = (HOLD[database.vendor], 2.0) if beside_server else (0.2, 0.25)
        growth = min(max(hold / max(database.held, 1e-6), 0.5), 1.5)
        self.rows = min(max(round(self.rows * growth), 1), self._limit)
        return max(MIN_PAUSE, rest * database.took)


def _batches(database: Database, now: datetime, pace: Pace) -> Iterator[tuple[Kind, list[Key]]]:
    for kind in KINDS:
        for window in kind.windows(database, now):
            keys = iter(window)
            while batch := list(islice(keys, pace.rows)):
                yield kind, batch


def remove_rows(database: Database, kind: Kind, keys: list[Key], now: datetime) -> Counts:
    """Deletes those of `keys` that are due and not locked, with their parts, in one transaction.

    Returns nothing where others have locked some of the parts: all of it is left to the next run.
    """
    latest = kind.latest(database, now)
    due = f"FROM {kind.table} WHERE {kind.key} {database.in_keys} AND {kind.due}"
    try:
        with database.transaction():
            rows = database.select(
                f"SELECT {kind.key} {due}{database.lock_free_rows}", database.keys(keys), latest
            )
            locked = database.keys([key for (key,) in rows])
            removed = {
                part.name: database.execute(
                    f"DELETE FROM {part.table} WHERE {part.column} {database.in_keys}",  # noqa: S608
                    locked,
                )
                for part in kind.parts
            }
            # Checks again, with what was committed before the rows were locked: a channel may
            # have got a subscriber in between.
            removed[kind.name] = database.execute(f"DELETE {due}", locked, latest)
            return removed
    except DatabaseError as error:
        if isinstance(error.__cause__, DeadlockDetected | LockNotAvailable):
            return {}
        raise

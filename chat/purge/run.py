"""The verb: removes what is due, kind by kind, in transactions that leave room for others.

Each transaction is whole: a message goes with all its reactions, or stays with all of them. Two
purges at once only share the work.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from django.db import DatabaseError

from .brake import Brake
from .database import Database, Held, Key
from .kinds import KINDS, Kind
from .pace import TEMPOS, Pace, Tempo, next_look

MAX_BATCH: Final = 10_000

Counts = dict[str, int]
OnProgress = Callable[[str, int], None]


def _nothing() -> Counts:
    return {name: 0 for kind in KINDS for name in (kind.name, *(part.name for part in kind.parts))}


@dataclass(slots=True)
class Report:
    """Rows by kind: how many were removed, and how many are due and still there.

    `left` lacks what was not counted. `stopped` says why it ended early: what pulled its brake.
    """

    removed: Counts = field(default_factory=_nothing)
    left: Counts = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str | None = None


class PurgeError(Exception):
    """The database failed. `report` has what was removed before: that stays removed."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report


def purge(
    *,
    batch_size: int = MAX_BATCH,
    brake: Brake | None = None,
    on_progress: OnProgress = lambda kind, removed: None,
) -> Report:
    """Removes what is due now, by the database's clock, in transactions of at most `batch_size`
    rows (1 up) of a kind; `on_progress` is told each kind and how many of it have gone.

    Runs over a connection of its own, so not inside a transaction: on SQLite it would wait for
    its caller's. Raises PurgeError.
    """
    with _reporting() as report, Database() as database:
        _Run(database, report, brake or Brake(), batch_size, on_progress).remove()
    return report


def count_due(*, brake: Brake | None = None, indexed_only: bool = False) -> Report:
    """What a purge would remove now, as `left`; changes nothing. Raises PurgeError.

    `indexed_only`: only what an index counts in a moment.
    """
    with _reporting() as report, Database() as database:
        now = database.now()
        for kind in KINDS:
            if brake and brake.reason:
                report.stopped = brake.reason
                break
            moment = now - kind.keep
            if kind.indexed or not indexed_only:
                report.left[kind.name] = kind.count(database, moment)
            if not indexed_only:
                report.left |= kind.count_parts(database, moment)
    return report


@contextmanager
def _reporting() -> Iterator[Report]:
    """A report that is told its seconds, and goes with the error where the database fails."""
    report = Report()
    started = time.monotonic()
    try:
        yield report
    except DatabaseError as error:
        raise PurgeError(report) from error
    finally:
        report.seconds = time.monotonic() - started


@dataclass(slots=True)
class _Run:
    database: Database
    report: Report
    brake: Brake
    batch_size: int
    on_progress: OnProgress
    _transactions: int = 0

    def remove(self) -> None:
        now = self.database.now()
        for kind in KINDS:
            if self.report.stopped is None:
                self._remove_kind(kind, now - kind.keep)
        self.report.left = {
            kind.name: kind.count(self.database, now - kind.keep) for kind in KINDS if kind.indexed
        }
        self.database.shrink_log()

    def _remove_kind(self, kind: Kind, moment: datetime) -> None:
        pace = Pace(self.batch_size)
        for keys in kind.windows(self.database, moment):
            rest = iter(keys)
            while batch := list(islice(rest, pace.rows)):
                if self.brake.reason:
                    self.report.stopped = self.brake.reason
                    return
                self._remove_batch(kind, batch, moment)
                pace.took(self.database.held, self._give_way())

    def _remove_batch(self, kind: Kind, keys: list[Key], moment: datetime) -> None:
        try:
            removed = remove_rows(self.database, kind, keys, moment)
        except Held:  # those rows are due in the next run, too
            return
        for name, count in removed.items():
            self.report.removed[name] += count
        self.on_progress(kind.name, self.report.removed[kind.name])

    def _give_way(self) -> Tempo:
        """The pause after a transaction, and the tempo that said how long."""
        database, began = self.database, time.monotonic()
        tempo = TEMPOS[database.vendor, database.others_write()]
        self._transactions += 1
        if self._transactions % tempo.checkpoint == 0:
            database.checkpoint()
        spent = time.monotonic() - began
        least = next_look(database.held) if database.vendor == "sqlite" else 0.0
        self.brake.pause(max(least - spent, tempo.rest * (database.held + spent)))
        return tempo


def remove_rows(database: Database, kind: Kind, keys: list[Key], moment: datetime) -> Counts:
    """Those of `keys` that are due and that nobody holds, with their parts, in one transaction.

    Raises Held where others hold parts of them.
    """
    among, latest = database.among, database.moment(moment)
    with database.transaction():
        rows = database.select(
            f"SELECT {kind.key} FROM {kind.table}"  # noqa: S608
            f" WHERE {kind.key} {among} AND {kind.due}{database.unlocked}",
            *(database.keys(keys), latest),
        )
        doomed = database.keys([key for (key,) in rows])
        removed = {
            part.name: database.delete(
                f"DELETE FROM {part.table} WHERE {part.column} {among}",  # noqa: S608
                doomed,
            )
            for part in kind.parts
        }
        # Asked once more, of what was committed before the rows were locked: a channel may have
        # got a subscriber in between.
        removed[kind.name] = database.delete(
            f"DELETE FROM {kind.table} WHERE {kind.key} {among} AND {kind.due}",  # noqa: S608
            *(doomed, latest),
        )
    return removed

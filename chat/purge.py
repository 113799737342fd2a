"""Deletes what has expired, in short transactions between which the server writes on.

Deletes only what no read of the server can see any more (protocol.md section 8), some time after
that. Each transaction is whole: a message is deleted with all its reactions, or both stay. Several
purges at once share the work. To let another kind of row expire, add an entry to KINDS.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple, Self

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper
from django.db.models import ManyToOneRel, Model
from psycopg.errors import DeadlockDetected, LockNotAvailable

from chat.conf import settings
from chat.models import Channel
from chat.store.databases import PAGE_COST, connection

MAX_BATCH: Final = 10_000
WINDOW: Final = 10_000
"""How many keys are read at once, outside of any transaction that writes."""
HOLD: Final = {"sqlite": 0.0005, "postgresql": 0.005}
"""For how many seconds a transaction holds its locks beside a live server. On SQLite the server's
writer waits for them."""
MIN_PAUSE: Final = 0.0025  # seconds
RECOVERY_WINDOW: Final = timedelta(days=1)
"""For so long a client that comes back is told that an entry was cleared or has expired."""
REPAIR_WINDOW: Final = timedelta(minutes=1)
"""Gap repair reads rows that have just expired (design.md section 4, "The hub"). Less than
`PURGE_OVERDUE` of chat/checks.py."""
SESSION: Final = {
    # A power cut may undo commits that did not wait for the disk; the next run repeats them.
    # Checkpoints come between the transactions.
    "sqlite": (
        "PRAGMA synchronous=NORMAL",
        "PRAGMA cache_size=-8000",
        "PRAGMA wal_autocheckpoint=0",
    ),
    # Less than `deadlock_timeout`: where the admin deletes the same rows, the admin wins.
    "postgresql": (PAGE_COST, "SET synchronous_commit=off", "SET lock_timeout='500ms'"),
}

type Key = str | int
"""A primary key."""
type Parameter = str | int | datetime | list[Key] | None
type Counts = dict[str, int]


class Database:
    """The default database, over a connection that the `with` statement closes.

    `in_keys` ends a condition: the value is one of the keys in the parameter. `lock_free_rows`
    ends a SELECT that locks its rows and skips those that others have locked. The last transaction
    kept its locks for `held` seconds, and took `took`. Every method raises Django's DatabaseError.
    """

    def __init__(self) -> None:
        self._connection = connection.copy()
        self._connection.settings_dict["OPTIONS"].pop("pool", None)  # one connection, for a while
        self.vendor = self._connection.vendor
        self._postgresql = self.vendor == "postgresql"
        self._cursor: CursorWrapper
        self.in_keys = "= ANY(%s)" if self._postgresql else "IN (SELECT value FROM json_each(%s))"
        self.lock_free_rows = " FOR UPDATE SKIP LOCKED" if self._postgresql else ""
        self.held = self.took = 0.0

    def __enter__(self) -> Self:
        self._connection.ensure_connection()
        # With DEBUG, the cursor of `connection.cursor()` would keep every statement in memory.
        self._cursor = self._connection.make_cursor(self._connection.create_cursor())
        for statement in SESSION[self.vendor]:
            self.execute(statement)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, sql: str, *parameters: Parameter) -> int:
        """Returns the number of rows that the statement changed."""
        self._cursor.execute(sql, parameters)
        return int(self._cursor.rowcount)

    def select(self, sql: str, *parameters: Parameter) -> list[tuple[Any, ...]]:
        self.execute(sql, *parameters)
        return list(self._cursor.fetchall())

    def count(self, sql: str, *parameters: Parameter) -> int:
        return int(self.select(sql, *parameters)[0][0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits, or rolls back on a DatabaseError.

        Then copies SQLite's log into the file, beside readers and writers. Otherwise the server's
        next commit would do that, and keep a sender waiting.
        """
        self.execute("BEGIN" if self._postgresql else "BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            yield
            self.execute("COMMIT")
        except DatabaseError:
            with suppress(DatabaseError):  # a connection that is lost has rolled back already
                self.execute("ROLLBACK")
            raise
        finally:
            self.held = self.took = time.monotonic() - began
        if not self._postgresql:
            self.select("PRAGMA wal_checkpoint(PASSIVE)")
            self.took = time.monotonic() - began

    def now(self) -> datetime:
        """The database's time; SQLite's clock is its process's."""
        if not self._postgresql:
            return datetime.now(UTC)
        now: datetime = self.select("SELECT clock_timestamp()")[0][0]
        return now

    def timestamp(self, moment: datetime) -> Parameter:
        return self._connection.ops.adapt_datetimefield_value(moment)

    def keys(self, keys: list[Key]) -> Parameter:
        """The parameter of `in_keys`."""
        return keys if self._postgresql else json.dumps(keys)

    def has_live_server(self) -> bool:
        sql = "SELECT 1 FROM chat_node WHERE lease_until > %s LIMIT 1"
        return bool(self.select(sql, self.timestamp(self.now())))

    def shrink_log(self) -> None:
        """Truncates SQLite's log, unless others read or write just now."""
        if not self._postgresql:
            self.select("PRAGMA busy_timeout=0")
            self.select("PRAGMA wal_checkpoint(TRUNCATE)")


class Part(NamedTuple):
    """Rows that refer to those of a kind by `column`, and are deleted with them."""

    name: str
    table: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows of `table` to delete where `due` holds.

    `due` is plain SQL with one parameter: the time that lies `keep` before now. The statement that
    deletes checks it again, so that a row which has changed meanwhile stays.

    `indexed`: an index on `when`, the time that `due` looks at, finds the rows. Otherwise the whole
    table is read: an index on a channel's `changed_at` would cost every stored message more than
    that costs a purge, and members are few.

    `before` is SQL that is done first, with a place for the condition that a row is one of those
    to be deleted.
    """

    name: str
    table: str
    key: str = "id"
    due: str = "expires_at < %s"
    indexed: bool = True
    when: str = "expires_at"
    keep: timedelta | Callable[[], timedelta] = timedelta(0)
    parts: tuple[Part, ...] = ()
    before: str = ""

    def latest(self, database: Database, now: datetime) -> Parameter:
        """The parameter of `due`."""
        keep = self.keep if isinstance(self.keep, timedelta) else self.keep()
        return database.timestamp(now - keep)

    def windows(self, database: Database, now: datetime) -> Iterator[list[Key]]:
        """Yields the keys of due rows, up to WINDOW at once. The caller deletes those rows before
        it asks for more."""
        key, table, due = self.key, self.table, self.due
        where, order = (due, self.when) if self.indexed else (f"{key} > %s", key)
        sql = f"SELECT {key}, {due} FROM {table} WHERE {where} ORDER BY {order} LIMIT %s"  # noqa: S608
        latest, last = self.latest(database, now), 0
        before: list[tuple[Key, bool]] = []
        while rows := database.select(sql, latest, latest if self.indexed else last, WINDOW):
            if rows == before:  # others have locked all of them
                return
            yield [key for key, is_due in rows if is_due]
            before, last = rows, rows[-1][0]

    def count(self, database: Database, now: datetime) -> int:
        if not self.indexed:
            return sum(len(keys) for keys in self.windows(database, now))
        sql = f"SELECT count(*) FROM {self.table} WHERE {self.due}"  # noqa: S608
        return database.count(sql, self.latest(database, now))

    def count_parts(self, database: Database, now: datetime) -> dict[str, int]:
        due = f"SELECT {self.key} FROM {self.table} WHERE {self.due}"  # noqa: S608
        sql = "SELECT count(*) FROM {0.table} WHERE {0.column} IN ({1})"
        latest = self.latest(database, now)
        return {part.name: database.count(sql.format(part, due), latest) for part in self.parts}


def unused(model: type[Model]) -> str:
    """The condition that no row of any table refers to one of `model`'s."""
    table = model._meta.db_table
    fields = (
        relation.field
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, ManyToOneRel)
    )
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.{field.column} = {table}.id)"  # noqa: S608
        for field in fields
        for other in [field.model._meta.db_table]
    )


def forget(table: str, which: str) -> str:
    """What is done before such marks go: from a number below one of theirs, nobody can say any more
    what is gone."""
    return (
        "UPDATE chat_channel SET forgotten = gone.number FROM"  # noqa: S608
        f" (SELECT channel_id, max(number) AS number FROM {table}"
        f" WHERE {which} AND {{}} GROUP BY channel_id) AS gone"
        " WHERE id = gone.channel_id AND forgotten < gone.number"
    )


KINDS: Final = (
    Kind(
        name="messages",
        table="chat_message",
        keep=REPAIR_WINDOW,
        parts=(Part("reactions", "chat_reaction", "message_id"),),
    ),
    Kind(
        name="deletions",
        table="chat_deletion",
        key="message_id",
        keep=REPAIR_WINDOW,
        before=forget("chat_deletion", "outlived"),
    ),
    Kind(
        name="storage_entries",  # an entry that is cleared expires at once
        table="chat_storageentry",
        due="expires_at < %s AND NOT reports_expiry",
        keep=RECOVERY_WINDOW,
        before=forget("chat_storageentry", "TRUE"),
    ),
    Kind(
        name="former_members",
        table="chat_member",
        due="removed AND changed_at < %s",
        indexed=False,
        keep=REPAIR_WINDOW,
    ),
    Kind(name="deduplications", table="chat_deduplication"),
    Kind(name="acknowledgements", table="chat_acknowledgement"),
    Kind(
        name="audit_entries",
        table="chat_auditentry",
        due="at < %s",
        when="at",
        keep=lambda: timedelta(days=settings.AUDIT_DAYS),
    ),
    Kind(
        name="restrictions",  # the last change stays: its number says what a process has read
        table="chat_restriction",
        due="expires_at < %s AND number < (SELECT max(number) FROM chat_restriction)",
        keep=timedelta(days=1),
    ),
    Kind(name="used_tokens", table="tokens_usedtoken", key="digest"),
    Kind(
        name="channels",
        table="chat_channel",
        due=f"changed_at < %s AND {unused(Channel)}",
        indexed=False,
        keep=timedelta(days=7),
    ),
)
NAMES: Final = [name for kind in KINDS for name in (kind.name, *(part.name for part in kind.parts))]


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
        hold, rest = (HOLD[database.vendor], 2.0) if beside_server else (0.5, 0.1)
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
            if kind.before:
                database.execute(kind.before.format(f"{kind.key} {database.in_keys}"), locked)
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

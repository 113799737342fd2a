"""A database connection of the purge's own: transactions that give way, and the database's clock.

Plain SQL on the driver's own cursor: with DEBUG, Django's keeps every statement (design.md
section 4). `?` stands for a parameter on both databases.
"""

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

from django.db import connection
from psycopg import Cursor
from psycopg.errors import DeadlockDetected, LockNotAvailable

Key = Any  # a primary key: text or a whole number

SESSION: Final = {
    # What a power cut undoes is deleted again by the next run, so no commit waits for the disk.
    # Checkpoints happen between the transactions, not in them.
    "sqlite": (
        "PRAGMA synchronous=NORMAL",
        "PRAGMA cache_size=-8000",
        "PRAGMA wal_autocheckpoint=0",
    ),
    # Less than `deadlock_timeout`: where the admin deletes the same rows, it wins.
    "postgresql": ("SET synchronous_commit=off", "SET lock_timeout='500ms'"),
}
# What is in the way is somebody else's; it is tried again by the next run.
GIVES_WAY: Final = (DeadlockDetected, LockNotAvailable)
OTHERS_SECONDS: Final = 2.0
"""In which two commits of others count as traffic; a lease is renewed every 3 s."""


class Held(Exception):
    """A transaction was undone since others hold what it wants."""


class Database:
    """The default database, over a connection that is closed with the `with` statement.

    Raises Django's DatabaseError.
    """

    def __init__(self) -> None:
        self._connection = connection.copy()
        self._connection.settings_dict["OPTIONS"].pop("pool", None)  # one connection, for a while
        self.vendor = self._connection.vendor
        self._postgresql = self.vendor == "postgresql"
        self.held = 0.0
        self._version: int | None = None
        self._others_wrote: deque[float] = deque(maxlen=2)
        self._cursor: Any = None

    def __enter__(self) -> Self:
        self._connection.ensure_connection()
        driver = self._connection.connection
        self._cursor = Cursor(driver) if self._postgresql else driver.cursor()
        for statement in SESSION[self.vendor]:
            self.select(statement)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def shrink_log(self) -> None:
        """Gives the room back that SQLite's log took, unless anybody is in the way just now."""
        if not self._postgresql:
            self.select("PRAGMA busy_timeout=0")
            self.select("PRAGMA wal_checkpoint(TRUNCATE)")

    # --- statements -------------------------------------------------------------------------

    def select(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self._execute(sql, parameters)
        return self._cursor.fetchall() if self._cursor.description else []

    def delete(self, sql: str, *parameters: Any) -> int:
        """How many rows went."""
        self._execute(sql, parameters)
        count: int = self._cursor.rowcount
        return count

    def _execute(self, sql: str, parameters: Sequence[Any]) -> None:
        with self._connection.wrap_database_errors:
            self._cursor.execute(sql.replace("?", "%s") if self._postgresql else sql, parameters)

    # --- values -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time; SQLite's clock is its process's."""
        if not self._postgresql:
            return datetime.now(UTC)
        now: datetime = self.select("SELECT clock_timestamp()")[0][0]
        return now

    def moment(self, moment: datetime) -> Any:
        """A time as the driver takes it; in SQLite's text form it also compares as text."""
        return moment if self._postgresql else str(moment.astimezone(UTC).replace(tzinfo=None))

    def keys(self, keys: list[Key]) -> Any:
        """The one parameter of `among`."""
        return keys if self._postgresql else json.dumps(keys)

    @property
    def among(self) -> str:
        """The condition's second half: that a column's value is one of `keys`."""
        return "= ANY(?)" if self._postgresql else "IN (SELECT value FROM json_each(?))"

    @property
    def unlocked(self) -> str:
        """The end of a SELECT that locks its rows and leaves out those that others hold.

        On SQLite the transaction itself is the lock.
        """
        return " FOR UPDATE SKIP LOCKED" if self._postgresql else ""

    # --- transactions -----------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits, or undoes everything and raises; Held where others were in the way.

        `held` are the seconds for which the last one kept its locks.
        """
        self._execute("BEGIN" if self._postgresql else "BEGIN IMMEDIATE", ())
        began = time.monotonic()
        try:
            yield
            self._execute("COMMIT", ())
        except BaseException as error:
            self._undo()
            if isinstance(error.__cause__, GIVES_WAY):
                raise Held from error
            raise
        finally:
            self.held = time.monotonic() - began

    def _undo(self) -> None:
        """A connection that is lost has undone it already."""
        driver = self._connection.connection
        if self._postgresql and not driver.closed:
            driver.rollback()
        elif not self._postgresql and driver.in_transaction:
            self._execute("ROLLBACK", ())

    def checkpoint(self) -> None:
        """Moves what was committed from SQLite's log into its file, beside readers and writers.

        Left to the server, its next commit would do it and keep a sender waiting.
        """
        if not self._postgresql:
            self.select("PRAGMA wal_checkpoint(PASSIVE)")

    def others_write(self) -> bool:
        """Whether somebody else is at work. On PostgreSQL, where nobody waits for a lock, it is a
        server that runs; on SQLite it is whoever committed twice in a short while. A server that
        only renews its lease (design.md section 4, "Nodes") does not."""
        if self._postgresql:
            sql = "SELECT 1 FROM chat_node WHERE lease_until > clock_timestamp() LIMIT 1"
            return bool(self.select(sql))
        [[version]] = self.select("PRAGMA data_version")  # own commits do not change it
        now = time.monotonic()
        if self._version not in (None, version):
            self._others_wrote.append(now)
        self._version = version
        return len(self._others_wrote) == 2 and now - self._others_wrote[0] < OTHERS_SECONDS

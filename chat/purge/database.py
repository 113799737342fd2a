"""A database connection of the purge's own, and the SQL in which the two databases differ."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Self

from django.db import DatabaseError, connection
from django.db.backends.utils import CursorWrapper

type Key = str | int
"""A primary key."""
type Parameter = str | int | datetime | list[Key] | None

SESSION: Final = {
    # A power cut may undo commits that did not wait for the disk; the next run repeats them.
    # Checkpoints come between the transactions.
    "sqlite": (
        "PRAGMA synchronous=NORMAL",
        "PRAGMA cache_size=-8000",
        "PRAGMA wal_autocheckpoint=0",
    ),
    # Less than `deadlock_timeout`: where the admin deletes the same rows, the admin wins.
    "postgresql": ("SET synchronous_commit=off", "SET lock_timeout='500ms'"),
}


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
        changed: int = self._cursor.rowcount
        return changed

    def select(self, sql: str, *parameters: Parameter) -> list[tuple[Any, ...]]:
        self.execute(sql, *parameters)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

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

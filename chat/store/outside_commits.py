"""Notices on SQLite that another process has committed, by its count of commits: 3 µs to ask."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from django.db import connection

POLL_SECONDS: Final = 0.25


class OutsideCommits:
    """Tells when another connection than this thread's has committed to the SQLite database."""

    def __init__(self, notice: Callable[[], object]) -> None:
        self._notice = notice
        self._seen: tuple[Any, int] | None = None
        self._due = 0.0

    def look(self) -> None:
        """Not within a transaction; at most each POLL_SECONDS, however often it is called."""
        now = time.monotonic()
        if now < self._due or connection.connection is None:
            return
        self._due = now + POLL_SECONDS
        with contextlib.suppress(sqlite3.Error):  # whoever writes next finds out, and says so
            self._compare()

    def _compare(self) -> None:
        driver = connection.connection  # a new one counts anew
        seen = (driver, driver.execute("PRAGMA data_version").fetchone()[0])
        if seen != self._seen:
            self._seen = seen
            self._notice()

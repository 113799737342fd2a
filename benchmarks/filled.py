"""Databases with as many expired messages as live ones, and copies of them to measure on.

Each message has a reaction; all are in the order of time, spread at random over a thousand
channels and 5,000 people, so that of every index as many pages as possible are touched.
"""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from ulid import ULID

from benchmarks.databases import start_durable
from tests.support.servers import manage, server_environment

CHANNELS: Final = 1000
PEOPLE: Final = 5000
CHUNK: Final = 20_000
TEXT: Final = '"a message of an ordinary length, as people write them"'
COLUMNS: Final = {
    "chat_channel": "id, name, number, last_message_id, changed_at",
    "chat_message": "id, channel_id, number, event, data, uid, umd, by_server, expires_at",
    "chat_reaction": ("message_id, channel_id, number, uid, umd, reaction, removed, created_at"),
}

Row = tuple[Any, ...]


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filled = directory / "filled.sqlite3"

    def fill(self, rows: int) -> None:
        _migrate(self.directory, f"sqlite:///{self._filled}")
        with closing(sqlite3.connect(self._filled)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            for table, chunk in _chunks(rows):
                marks = ",".join("?" * len(chunk[0]))
                sql = f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})"  # noqa: S608
                with connection:
                    connection.executemany(sql, map(_as_text, chunk))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy(self) -> str:
        """The address of a new copy; the one before is gone."""
        path = self.directory / "copy.sqlite3"
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self._filled, path)
        os.sync()
        return f"sqlite:///{path}"

    @property
    def pids(self) -> list[int]:
        """The processes that it has."""
        return []

    def stop(self) -> None:
        self._filled.unlink()


class Postgresql:
    """In a PostgreSQL of its own that, unlike that of the tests, waits for its disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._postgres = start_durable(directory)
        self._copies = 0

    def fill(self, rows: int) -> None:
        url = self._database("filled", "template1")
        _migrate(self.directory, url)
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for table, chunk in _chunks(rows):
                with cursor.copy(f"COPY {table} ({COLUMNS[table]}) FROM STDIN") as copy:
                    for row in chunk:
                        copy.write_row(row)
            # COPY took the ids of the channels past the sequence that gives them.
            cursor.execute("SELECT setval('chat_channel_id_seq', %s)", (CHANNELS,))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def copy(self) -> str:
        """The address of a new copy."""
        self._copies += 1
        return self._database(f"copy{self._copies}", "filled")

    @property
    def pids(self) -> list[int]:
        return [self._postgres.pid]

    def stop(self) -> None:
        self._postgres.stop()

    def _database(self, name: str, template: str) -> str:
        with psycopg.connect(self._postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
            connection.execute("CHECKPOINT")
        return self._postgres.url(name)


def _migrate(directory: Path, url: str) -> None:
    environment = server_environment(directory, DATABASE_URL=url)
    manage(environment, "migrate", "--no-input").check_returncode()


def _chunks(rows: int) -> Iterator[tuple[str, list[Row]]]:
    """Table by table, what is inserted: every other message has expired, over the last two days."""
    now = datetime.now(UTC)
    anyone = random.Random(1)  # noqa: S311  # the same rows each time
    yield "chat_channel", [(id, f"c{id}", 0, "", now) for id in range(1, CHANNELS + 1)]
    for start in range(0, 2 * rows, CHUNK):
        messages = [
            _message(n, now, 2 * rows, anyone) for n in range(start, min(start + CHUNK, 2 * rows))
        ]
        yield "chat_message", messages
        yield "chat_reaction", [_reaction(message, now, anyone) for message in messages]


def _message(number: int, now: datetime, total: int, anyone: random.Random) -> Row:
    age = timedelta(days=3) * (1 - number / total)
    made = int((now - age).timestamp() * 1000)
    id = str(ULID.from_int(made << 80 | anyone.getrandbits(79)))
    live = None if number % 4 == 1 else now + timedelta(days=1) - age / 4
    expires = live if number % 2 else now - timedelta(minutes=2) - age / 2
    who = f"user-{anyone.randrange(PEOPLE)}"
    return (id, anyone.randrange(CHANNELS) + 1, number, "chat", TEXT, who, "null", False, expires)


def _reaction(message: Row, now: datetime, anyone: random.Random) -> Row:
    who, taken_back = f"user-{anyone.randrange(PEOPLE)}", anyone.random() < 0.1
    return (*message[:3], who, "null", "👍", taken_back, now)


def _as_text(row: Row) -> Row:
    """Times as Django keeps them in SQLite."""
    return tuple(
        str(value.replace(tzinfo=None)) if isinstance(value, datetime) else value for value in row
    )

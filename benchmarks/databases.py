"""Databases that wait for their disk, as those of a site do, beside the server's core."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import psycopg

from benchmarks import cpu
from benchmarks.scenarios.base import VERSIONS
from tests.support.servers import Postgres, start_postgres

Kind = Literal["sqlite", "postgresql"]
TITLES: Final[dict[Kind, str]] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass
class Database:
    """`pids`: the processes that it has, which count as the server's."""

    directory: Path
    pids: list[int] = field(default_factory=list)
    postgres: Postgres | None = None

    def url(self, name: str) -> str:
        """Of a database that is new at the first call with its name."""
        if self.postgres is None:
            return f"sqlite:///{self.directory / name}.sqlite3"
        with (
            psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection,
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
        ):
            connection.execute(f"CREATE DATABASE {name}")
        return self.postgres.url(name)


@contextlib.contextmanager
def database(kind: Kind, directory: Path) -> Iterator[Database]:
    if kind == "sqlite":
        yield Database(directory)
        return
    with start_durable(directory) as postgres:
        cpu.pin(postgres.pid, cpu.SERVER)
        VERSIONS["PostgreSQL"] = ask(postgres.url("postgres"), "SHOW server_version")
        yield Database(directory, [postgres.pid], postgres)


def start_durable(directory: Path) -> Postgres:
    """That of the tests does not wait for its disk; this one does."""
    postgres = start_postgres(directory)
    postgres.stop()
    postgres.command = [part.replace("=off", "=on") for part in postgres.command]
    postgres.start(postgres.ready)
    return postgres


def ask(url: str, sql: str) -> Any:
    """The first value that a query gives."""
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchone()[0]
    with psycopg.connect(url) as connected:
        row = connected.execute(sql).fetchone()
        return row[0] if row else None


def sync_seconds(directory: Path, times: int = 50) -> list[float]:
    """What the disk takes for 4 KiB and an fsync: no commit can be faster."""
    taken = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return taken

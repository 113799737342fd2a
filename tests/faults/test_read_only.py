"""A database that becomes read-only: after a failover, by its administrator, or since its file
system did (P1, P8)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Fault, Site
from tests.faults.unwritable import outage
from tests.support.servers import start_server


async def test_read_only(site: Site, fault: Fault, channel: str) -> None:
    address = site.postgres.url("postgres")

    @contextmanager
    def read_only() -> Iterator[None]:
        try:
            tell(address, "ALTER SYSTEM SET default_transaction_read_only = on")
            yield
        finally:
            tell(address, "ALTER SYSTEM RESET default_transaction_read_only")

    logged = site.one.log.stat().st_size
    await outage(fault, site.one, channel, read_only, "The database is read-only.")
    said = site.one.log.read_text()[logged:]
    assert "in a read-only transaction" in said
    fault.none("tracebacks", ["Traceback"] * said.count("Traceback"))


def tell(address: str, command: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(command.encode())
        connection.execute("SELECT pg_reload_conf()")


async def test_file(tmp_path: Path, fault: Fault, channel: str) -> None:
    """SQLite's, which is open for writing and refuses to be written. It takes root, and a file
    system with that attribute."""

    def immutable(file: Path, sign: str) -> bool:
        done = subprocess.run(["chattr", f"{sign}i", str(file)], capture_output=True, check=False)
        return done.returncode == 0

    @contextmanager
    def read_only() -> Iterator[None]:
        if not immutable(log, "+"):
            pytest.skip("no file can be made immutable here")
        try:
            yield
        finally:
            assert immutable(log, "-")

    log = tmp_path / "db.sqlite3-wal"
    with start_server("uvicorn", tmp_path, CLIENT_FRAMES_PER_SECOND="0") as server:
        sentence = "The file of the database cannot be read or written."
        await outage(fault, server, channel, read_only, sentence)
        said = server.log.read_text()
    assert "disk I/O error" in said
    fault.none("tracebacks", ["Traceback"] * said.count("Traceback"))

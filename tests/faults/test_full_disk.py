"""The disk of the database is full (P1, P8). It takes root: a small file system is mounted."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Fault
from tests.faults.unwritable import outage
from tests.support.databases import migrated
from tests.support.servers import (
    Postgres,
    production,
    start_server,
)

BLOCK = b"\0" * 4096


@pytest.fixture
def disk() -> Iterator[Path]:
    disk = Path(tempfile.mkdtemp(prefix="chatsite-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        pytest.skip("no file system may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, disk: Path, tmp_path: Path) -> Iterator[str]:
    """Of a database whose rows are on the small disk."""
    if request.param == "sqlite":
        yield f"sqlite:///{disk / 'db.sqlite3'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    shutil.chown(disk, postgres.user or None)
    url = migrated(postgres.database(), tmp_path)
    name = url.rpartition("/")[2]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{disk}'".encode())
        connection.execute(f"ALTER DATABASE {name} SET TABLESPACE {name}".encode())
        try:
            yield url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute(f"DROP TABLESPACE {name}".encode())


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(BLOCK):
                pass
        yield
    finally:
        filler.unlink()


async def test_full_disk(
    address: str, disk: Path, tmp_path: Path, fault: Fault, channel: str
) -> None:
    env = {**production(), "CLIENT_FRAMES_PER_SECOND": "0", "DATABASE_URL": address}
    with start_server("uvicorn", tmp_path, **env) as server:
        sentence = "The disk of the database is full."
        await outage(fault, server, channel, lambda: full(disk), sentence)
        said = server.log.read_text()
    assert "database or disk is full" in said or "No space left on device" in said
    fault.none("tracebacks", ["Traceback"] * said.count("Traceback"))

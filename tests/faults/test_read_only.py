"""A database that becomes read-only: after a failover, or by its administrator (P1, P8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.faults.conftest import Fault, Site
from tests.faults.unwritable import outage


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

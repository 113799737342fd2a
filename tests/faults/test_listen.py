"""The sessions of PostgreSQL that carry announcements cut, again and again (P2, P3)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher
from tests.faults.test_redis import Load, check, one_cycle
from tests.support.servers import keys_of, production, start_server

CUTS = 4
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE ANY(%s)"


@pytest.fixture
def alone(site: Site, tmp_path: Path) -> Iterator[Site]:
    """Two servers on the site's PostgreSQL, without Redis."""
    env = {**production(tmp_path), "CLIENT_FRAMES_PER_SECOND": "0"}
    env |= {"DATABASE_URL": site.postgres.database()}
    with (
        start_server("uvicorn", tmp_path, **env) as one,
        start_server("uvicorn", tmp_path, **env, **keys_of(one)) as other,
    ):
        yield replace(site, one=one, other=other)


@asynccontextmanager
async def cut(load: Load) -> AsyncIterator[None]:
    names = ["chat listener %"], ["chat sender"], ["chat listener %", "chat sender"]
    with psycopg.connect(load.site.one.env["DATABASE_URL"], autocommit=True) as session:
        session.execute(CUT, [load.fault.random.choice(names)])
    yield


async def test_listen(alone: Site, fault: Fault, channel: str) -> None:
    readers = [await Connection.open(alone.servers[n % 2], f"reader{n}") for n in range(4)]
    for reader in readers:
        await reader.subscribe(channel)
    writers = [
        await Publisher.open(alone.servers[n % 2], f"writer{n}", channel, 5) for n in range(2)
    ]
    load = Load(alone, fault, channel, readers, writers)
    for _ in range(fault.times(CUTS)):
        await one_cycle(load, cut, slow=False)
        fault.count("cuts")
    fault.count("acknowledged", load.acknowledged)
    await check(load, channel, "chat", [])
    for connection in [*readers, *(writer.connection for writer in writers)]:
        connection.close()

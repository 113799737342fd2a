"""The sessions of PostgreSQL that carry announcements cut, again and again (P2, P3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher
from tests.faults.test_redis import Load, check, one_cycle

CUTS = 4
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE ANY(%s)"


@asynccontextmanager
async def cut(load: Load) -> AsyncIterator[None]:
    names = ["chat listener %"], ["chat sender"], ["chat listener %", "chat sender"]
    with psycopg.connect(load.site.one.env["DATABASE_URL"], autocommit=True) as session:
        session.execute(CUT, [load.fault.random.choice(names)])
    yield


async def test_listen(site: Site, fault: Fault, channel: str) -> None:
    readers = [await Connection.open(site.servers[n % 2], f"reader{n}") for n in range(4)]
    for reader in readers:
        await reader.subscribe(channel)
    writers = [
        await Publisher.open(site.servers[n % 2], f"writer{n}", channel, 5) for n in range(2)
    ]
    load = Load(site, fault, channel, readers, writers)
    for _ in range(fault.times(CUTS)):
        await one_cycle(load, cut, slow=False)
        fault.count("cuts")
    fault.count("acknowledged", load.acknowledged)
    await check(load, channel, "chat", [])
    for connection in [*readers, *(writer.connection for writer in writers)]:
        connection.close()

"""Somebody locks a whole table, as a migration does, for longer than a lease (P7)."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, whole_history
from tests.support.servers import Server, keys_of, start_server
from tests.support.stored import rows

LEASE_SECONDS = 5
LOCKED_SECONDS = 7.0
NODES = "SELECT id FROM chat_node ORDER BY id"


@pytest.fixture
def pair(site: Site, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    env = {"DATABASE_URL": site.postgres.database(), **site.broker}
    env |= {"NODE_LEASE_SECONDS": str(LEASE_SECONDS), "CLIENT_FRAMES_PER_SECOND": "0"}
    with (
        start_server("uvicorn", tmp_path, **env) as one,
        start_server("uvicorn", tmp_path, **env, **keys_of(one)) as other,
    ):
        yield one, other


async def test_locked_table(pair: tuple[Server, Server], fault: Fault, channel: str) -> None:
    """Publishing waits or is refused; the lease lives, and nobody is closed: the other server, to
    which nobody publishes, could take over at once."""
    one, before = pair[0], rows(pair[0], NODES)
    writer = await Publisher.open(one, "writer", channel)
    other = await Connection.open(one, "other")
    for _ in range(fault.times(1)):
        with psycopg.connect(one.env["DATABASE_URL"]) as holder:
            holder.execute("LOCK TABLE chat_channel")
            publishing = asyncio.create_task(writer.publish(3))
            until = time.monotonic() + LOCKED_SECONDS
            while time.monotonic() < until:
                fault.measure("seconds to a pong", await other.pinged())
                await asyncio.sleep(0.2)
            holder.rollback()
        await publishing
        fault.count("locks")
    await writer.publish(1)
    fault.count("refused", writer.refused)
    fault.none("closed", [each for each in (writer.connection, other) if not each.open_])
    assert rows(one, NODES) == before
    assert "taken for dead" not in one.log.read_text()
    history = await whole_history(one, channel)
    assert writer.acknowledged
    fault.none("acknowledged messages missing", checks.missing(writer.acknowledged, history))

"""Leases, and sessions that hold locks and say nothing."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
import pytest
from django.db import connection

from chat.cluster.leases import Lease, RegisterNode, end_blockers, other_server_problems
from chat.models import Node
from chat.protocol.errors import ProtocolError
from chat.store.databases import SERVER_SESSION
from chat.store.writer import Writer
from tests.support.databases import in_thread
from tests.support.written import do, node, store

HOLD = "SELECT id FROM chat_channel WHERE name = %s FOR UPDATE"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"


@pytest.mark.usefixtures("postgres_default")
@pytest.mark.parametrize(("name", "ended"), [(SERVER_SESSION, 1), ("chatsite serve", 0)])
def test_servers_alone_lose_what_they_hold(
    postgres_database: str, channel: str, name: str, ended: int
) -> None:
    do(store(channel))
    with (
        ThreadPoolExecutor(1) as beside,
        closing(psycopg.connect(postgres_database, application_name=name)) as holder,
        closing(psycopg.connect(postgres_database)) as waiter,
    ):
        holder.execute(HOLD, [channel])
        waiting = beside.submit(waiter.execute, HOLD, [channel])
        with connection.cursor() as cursor:
            while True:
                cursor.execute(WAITS, [waiter.info.backend_pid])
                if cursor.fetchone()[0]:
                    break
        assert end_blockers(3600) == []
        session = f"{holder.info.backend_pid} of 127.0.0.1"
        assert end_blockers(0) == [session] * ended
        if not ended:
            holder.rollback()
        assert waiting.result(10).fetchone() is not None


class Stuck:
    """A writer that is stuck."""

    async def submit(self, operation: Any) -> Any:
        await asyncio.Event().wait()


def lease_of(process: RegisterNode, seconds: float) -> Lease:
    return Lease(process.id, cast("Writer", Stuck()), seconds)


async def until_of(process: RegisterNode) -> datetime:
    return await in_thread(lambda: Node.objects.filter(id=process.id).first().lease_until)


@pytest.mark.usefixtures("postgres_default")
async def test_it_is_renewed_whatever_the_writer_waits_for() -> None:
    process = node(lease_seconds=600)
    await in_thread(lambda: do(process))
    lease, before = lease_of(process, 900), await until_of(process)
    assert await asyncio.wait_for(lease.renew(), 10)
    assert await until_of(process) - before > timedelta(seconds=200)
    await in_thread(Node.objects.filter(id=process.id).delete)
    assert not await lease.renew()
    lease.end()


@pytest.mark.usefixtures("postgres_default")
async def test_who_holds_its_row_delays_it_only_so_long(postgres_database: str) -> None:
    """Nor does its statement wait on in PostgreSQL when it is given up here."""
    process = node(lease_seconds=600)
    await in_thread(lambda: do(process))
    lease = lease_of(process, 1)
    with closing(psycopg.connect(postgres_database)) as holder:
        holder.execute("SELECT id FROM chat_node WHERE id = %s FOR UPDATE", [process.id])
        with pytest.raises(ProtocolError):
            await asyncio.wait_for(lease.renew(), 10)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND query LIKE '%UPDATE chat_node%'"
        )
        assert holder.execute(waiting).fetchone() == (0,)
        holder.rollback()
    assert await lease.renew()
    lease.end()


def test_whoever_starts_says_for_whose_lease_it_waits(
    sqlite: None, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was killed has a lease, too, until it runs out."""
    Node.objects.all().delete()
    do(node(host="killed", pid=4711, lease_seconds=0.5))
    assert other_server_problems() == []
    waiting = "Waiting, up to 15 s, until the lease of killed:4711 ends, or is renewed"
    assert caplog.messages == [waiting]

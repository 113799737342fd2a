"""Sessions that hold locks and say nothing."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from django.db import connection

from chat.cluster.leases import end_blockers
from chat.store.databases import SERVER_SESSION
from tests.support.written import do, store

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
        assert end_blockers(3600) == 0
        assert end_blockers(0) == ended
        if not ended:
            holder.rollback()
        assert waiting.result(10).fetchone() is not None

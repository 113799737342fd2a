"""One of two servers is stopped with SIGSTOP, where it can be while it holds a lock that the other
needs, and goes on when the other has taken it for dead (P1, P5; design.md section 4, "Nodes")."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import AdminShutdown

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Follower, Frame, Publisher, until, whole_history
from tests.support.servers import Server, keys_of, redis_url, start_server
from tests.support.stored import rows

TIMES = 1
SECONDS = 60.0  # in every second cycle; else until it is reaped
LEASE_SECONDS = 5
PATIENCE_SECONDS = 2 * LEASE_SECONDS  # a lease is promised; whoever shares the machine costs more
BACK_SECONDS = 20.0
MEMBERS = 3  # on each server
OTHERS_WAIT = """
    SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
    AND wait_event_type = 'Lock' AND state_change < clock_timestamp() - interval '5 ms'
"""


@pytest.fixture
def pair(site: Site, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """On a database of their own, with a short lease."""
    env = {
        **{"DATABASE_URL": site.postgres.database(), "REDIS_URL": redis_url(site.redis)},
        **{"NODE_LEASE_SECONDS": str(LEASE_SECONDS), "CLIENT_FRAMES_PER_SECOND": "0"},
    }
    with (
        start_server("uvicorn", tmp_path, **env) as one,
        start_server("uvicorn", tmp_path, **env, **keys_of(one)) as other,
    ):
        yield one, other


async def test_frozen(pair: tuple[Server, Server], fault: Fault, channel: str) -> None:
    one, other = pair
    channel = f"presence.{channel}"
    acknowledged: list[str] = []
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Follower(lambda s=s: s, f"{s.port}-{n}", channel).following()
            )
            for s in pair
            for n in range(MEMBERS)
        ]
        coming, staying = clients[:MEMBERS], clients[MEMBERS:]
        for number in range(fault.times(TIMES)):
            writers = [
                await Publisher.open(s, f"writer{s.port}-{number}", channel, 5) for s in pair
            ]
            await one_freeze(one, fault, writers, coming, staying, SECONDS if number % 2 else 0.0)
            fault.count("freezes")
            acknowledged += [id for writer in writers for id in writer.acknowledged]
        for writer in writers:
            writer.connection.close()
        fault.none("nodes too many or too few", rows(other, "SELECT id FROM chat_node")[2:])
        await check(other, fault, channel, clients, acknowledged)
    fault.none("members seen twice", members_twice(clients))
    for follower in staying:
        assert len(follower.lives) == 1, "who is connected elsewhere stays"
        for client in coming:
            changes = changes_of(follower, client.uid)
            assert changes == ["Removed", "Added"] * fault.times(TIMES)


async def test_lock(pair: tuple[Server, Server], fault: Fault, channel: str) -> None:
    """Whoever is stopped after its last statement and before its COMMIT keeps a channel locked.
    PostgreSQL does not end its session, since psycopg has sent a Flush after that statement."""
    writer = await Publisher.open(pair[1], "writer", channel)
    await writer.publish(1)
    stopped = psycopg.connect(pair[1].env["DATABASE_URL"], application_name="chat server")
    stopped.execute("SET idle_in_transaction_session_timeout = 1000")
    stopped.execute("SELECT id FROM chat_channel WHERE name = %s FOR UPDATE", [channel])
    stopped.pgconn.send_flush_request()
    stopped.pgconn.flush()
    begun = time.monotonic()
    await writer.publish(1)
    fault.measure("seconds until the lock was free", time.monotonic() - begun)
    assert (writer.refused, len(writer.acknowledged)) == (0, 2)
    with pytest.raises(AdminShutdown):
        stopped.commit()
    stopped.close()
    writer.connection.close()


async def one_freeze(
    server: Server,
    fault: Fault,
    writers: list[Publisher],
    coming: list[Follower],
    staying: list[Follower],
    seconds: float,
) -> None:
    lives = [follower.lives[-1] for follower in coming]
    writing = [asyncio.create_task(writer.publish_for_ever(0.002)) for writer in writers]
    await until(lambda: all(len(w.acknowledged) > 50 for w in writers), "the load is on")
    fault.count("holding a lock", await freeze(server, fault))
    try:
        frozen_at = time.monotonic()
        heard = {follower.uid: len(follower.lives[-1].frames) for follower in staying}

        def reaped() -> bool:
            return all(
                removed(follower.lives[-1].frames[heard[follower.uid] :]) >= len(coming) + 1
                for follower in staying
            )

        await until(reaped, "its members are gone", PATIENCE_SECONDS)
        fault.measure("seconds until its members were gone", time.monotonic() - frozen_at)
        await asyncio.sleep(max(0.0, frozen_at + seconds - time.monotonic()))
        fault.count("messages meanwhile", len(writers[1].acknowledged))
        assert all(life.open_ for life in lives)
    finally:
        server.send_signal(signal.SIGCONT)
    woken_at = time.monotonic()
    mine = [*lives, writers[0].connection]
    await until(lambda: not any(each.open_ for each in mine), "its connections end", BACK_SECONDS)
    fault.measure("seconds until all were closed", max(each.ended_at for each in mine) - woken_at)
    fault.none(
        "closed with another code than 1012", [each.code for each in mine if each.code != 1012]
    )
    await until(lambda: all(f.caught_up for f in coming), "its clients are back", BACK_SECONDS)
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await until(lambda: not writers[1].waiting, "all is answered")
    fault.measure("greatest latency elsewhere, seconds", max(writers[1].latencies))


async def freeze(server: Server, fault: Fault) -> bool:
    """Returns when it stands still; tells whether the other waits for a lock of its."""
    for _ in range(50):
        server.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        if rows(server, OTHERS_WAIT):
            return True
        server.send_signal(signal.SIGCONT)
        await asyncio.sleep(fault.random.uniform(0.0, 0.03))
    server.send_signal(signal.SIGSTOP)
    return False


async def check(
    server: Server, fault: Fault, channel: str, clients: list[Follower], acknowledged: list[str]
) -> None:
    history = await whole_history(server, channel)
    fault.count("acknowledged", len(acknowledged))
    fault.none("acknowledged messages missing", checks.missing(acknowledged, history))
    await until(
        lambda: all(len(client.known) >= len(history) for client in clients),
        "every client has every message",
    )
    for client in clients:
        fault.none("missing after catch-up", checks.missing(history, client.known))
        for life in client.lives:
            fault.none_of(checks.connection_problems(life.ids(channel), history))


def frames(follower: Follower) -> list[Frame]:
    return [frame for life in follower.lives for frame in life.frames]


def removed(frames: list[Frame]) -> int:
    return sum(frame.event == "hotsock.memberRemoved" for frame in frames)


def changes_of(follower: Follower, uid: str) -> list[str]:
    """What this client was told of a member, but for what was so when it came."""
    return [
        frame.event.removeprefix("hotsock.member")
        for frame in follower.lives[0].frames
        if frame.event.startswith("hotsock.member") and frame.value["member"]["uid"] == uid
    ]


def members_twice(clients: list[Follower]) -> list[list[str]]:
    lists = [
        [member["uid"] for member in frame.value["members"]]
        for client in clients
        for frame in frames(client)
        if frame.event.startswith("hotsock.member") or frame.event == "hotsock.subscribed"
    ]
    return [uids for uids in lists if len(uids) != len(set(uids))]

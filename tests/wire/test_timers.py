"""What happens to a connection as time goes by (protocol.md section 6, rules 4 and 6).

Nothing here waits for a span of time: the end of one connection says when it is too late for
another.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.client import Client
from tests.support.connecting import connect, open_client, subscribed, token
from tests.support.grants import room
from tests.support.kinds import close_code
from tests.support.servers import Server, start_server

GOING_AWAY = 1001
HEARTBEAT_MISSED = 4408
TIMES = {
    **{"CONNECTION_IDLE_SECONDS": "2", "KEEP_ALIVE_SECONDS": "1", "CONNECTION_MAX_SECONDS": "5"},
    "CLOSE_ON_TOKEN_EXPIRY": "true",
}


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def hurried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server on which all times are short."""
    directory = tmp_path_factory.mktemp("hurried")
    with start_server(request.param, directory, **TIMES) as server:
        yield server


def going_away(server: Server) -> tuple[int, str]:
    reason = "Going away" if server.kind == "uvicorn" else ""  # daphne sends none
    return close_code(server, GOING_AWAY), reason


async def until_closed(other: Client, act: Callable[[], Awaitable[object]]) -> tuple[int, str]:
    """Acts again and again until the server closes `other`; gives its close code and reason."""
    closing = asyncio.create_task(other.closed(limit=20))
    while not closing.done():
        await act()
        await asyncio.wait([closing], timeout=0.1)
    return await closing


async def test_an_idle_connection_is_closed_and_one_that_sends_is_not(hurried: Server) -> None:
    async with connect(hurried) as sending, connect(hurried) as idle:
        assert await until_closed(idle, sending.settle) == going_away(hurried)
        await sending.nothing()


async def test_what_it_receives_keeps_a_connection_too(hurried: Server, channel: str) -> None:
    rights = room(channel)
    async with (
        subscribed(hurried, channel, channels=rights) as receiving,
        subscribed(hurried, channel, channels=rights) as sending,
        connect(hurried) as idle,
    ):

        async def publish() -> None:
            await sending.publish(channel, event="typing")
            await receiving.receive("typing")

        assert await until_closed(idle, publish) == going_away(hurried)
        await receiving.nothing()


async def test_websocket_pings_do_not_count(hurried: Server) -> None:
    pinging = await open_client(hurried, token(hurried), ping_interval=0.2)
    try:
        assert await pinging.closed(limit=20) == going_away(hurried)
    finally:
        await pinging.aclose()


async def test_keep_alive_is_sent_so_that_it_never_idles_out(hurried: Server) -> None:
    async with connect(hurried, keepAlive=True) as kept, connect(hurried) as other:

        async def nothing() -> None:
            pass

        assert await until_closed(other, nothing) == going_away(hurried)
        for _ in range(3):
            frame = await kept.receive("hotsock.keepAlive")
            assert frame.text == '{"event":"hotsock.keepAlive","data":{}}'
        await kept.settle()


async def test_a_connection_ends_at_its_maximum_age_however_lively(hurried: Server) -> None:
    async with connect(hurried, keepAlive=True) as old:
        await old.settle()
        assert await old.closed(limit=20) == going_away(hurried)


async def test_a_connection_may_end_with_its_token(hurried: Server) -> None:
    exp = time.time() + 1.5
    async with connect(hurried, keepAlive=True) as lasting:
        async with connect(hurried, keepAlive=True, exp=exp) as short:
            ends = datetime.fromisoformat(short.connected["data"]["connectionExpiresAt"])
            assert exp - 1.5 < ends.timestamp() < exp + 1.5
            assert await short.closed(limit=20) == going_away(hurried)
        await lasting.settle()


async def test_a_subscription_may_end_with_its_token(hurried: Server, channel: str) -> None:
    name = f"presence.{channel}"
    claims = {"scope": "subscribe", "uid": "jim", "exp": time.time() + 1.5}
    async with connect(hurried, uid="jim", channels=room(channel), keepAlive=True) as client:
        await client.subscribe(channel)
        await client.subscribe(name, token(hurried, channels=room(name), **claims))
        frame = await client.receive()
        while frame["event"] == "hotsock.keepAlive":
            frame = await client.receive()
        assert (frame["event"], frame["channel"]) == ("hotsock.unsubscribed", name)
        assert (await client.call("listMessages", {"channel": name})).refusal == (
            *(403, "NOT_SUBSCRIBED"),
        )
        await client.publish(channel)
        await client.receive("chat")


async def test_only_heartbeats_count_as_heartbeats(server: Server) -> None:
    async with (
        connect(server, heartbeatTimeout=6) as beating,
        connect(server) as free,
        connect(server, heartbeatTimeout=5) as lazy,
    ):

        async def live() -> None:
            await beating.send({"event": "hotsock.heartbeat"})
            with contextlib.suppress(ConnectionClosed):  # it may be, at this moment
                await lazy.send({"event": "hotsock.ping"}, {"event": "hotsock.pong"})

        assert await until_closed(lazy, live) == (HEARTBEAT_MISSED, "")
        await beating.nothing()
        await free.nothing()


async def test_a_heartbeat_renews_the_time(server: Server) -> None:
    async with (
        connect(server, heartbeatTimeout=5) as beating,
        connect(server, heartbeatTimeout=5) as silent,
        connect(server, heartbeatTimeout=6) as later,
    ):

        async def beat() -> None:
            await beating.send({"event": "hotsock.heartbeat"})

        await until_closed(silent, beat)
        await until_closed(later, lambda: asyncio.sleep(0))
        assert (await beating.drain()) == []
        assert await beating.closed(limit=20) == (HEARTBEAT_MISSED, "")

"""Who sends too much: what is nonsense counts like any other frame (protocol.md section 17)."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.hostile.conftest import unharmed
from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.servers import Server, start_server

NONSENSE = ["", "nonsense", "[" * 200, '{"event":"hotsock.nothing"}', b"\xff", '{"event":"chat"}']


@pytest.fixture(params=["server", "daphne_server"], ids=["uvicorn", "daphne"])
def limited(request: pytest.FixtureRequest) -> Iterator[Server]:
    """With the default limit of 100 frames a second."""
    with unharmed(request.getfixturevalue(request.param)) as server:
        yield server


async def test_500_frames_of_nonsense_are_each_answered(limited: Server, channel: str) -> None:
    async with connect(limited, uid=channel) as client:
        for at in range(500):
            await client.send(NONSENSE[at % len(NONSENSE)])
        for _ in range(500):
            error = (await client.receive("hotsock.error"))["error"]
            assert error["code"] != "RATE_LIMITED"


async def test_a_flood_of_nonsense_is_limited_and_then_closed(server: Server, channel: str) -> None:
    """daphne leaves unread what comes after its close frame, and the kernel answers with a reset,
    which may throw away what was sent before it."""
    with unharmed(server):
        async with connect(server, uid=channel) as client:
            flooding = asyncio.create_task(flood(client))
            codes = set()
            while "RATE_LIMITED" not in codes:
                codes.add((await client.receive("hotsock.error"))["error"]["code"])
            assert (await client.closed())[0] == 4429
            await flooding


async def flood(client: Client) -> None:
    with contextlib.suppress(ConnectionClosed):
        for at in range(20_000):
            await client.send(NONSENSE[at % len(NONSENSE)])


async def test_a_flood_of_calls_is_limited(tmp_path: Path, channel: str) -> None:
    """At one a second: ten at once, then one each second; each connection has its own."""
    with (
        start_server("uvicorn", tmp_path, CLIENT_FRAMES_PER_SECOND="1") as server,
        unharmed(server),
    ):
        async with connect(server) as client, connect(server) as other:
            calls = [await client.call("listMessages", "nonsense") for _ in range(10)]
            assert {answered.status for answered in calls} == {400}
            more = [client.call("listMessages", "nonsense") for _ in range(40)]
            calls = await asyncio.gather(*more)
            limited = [answered for answered in calls if answered.status != 400]
            assert {answered.refusal for answered in limited} == {(429, "RATE_LIMITED")}
            assert (await other.call("listMessages", "nonsense")).status == 400
            await client.nothing()

"""One member changes again and again: the others pay for a few of its changes, and all end with the
true list (protocol.md section 10)."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hostile.conftest import unharmed
from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.raw import PING, PONG, Raw, frame, raw
from tests.support.servers import Postgres, Server, start_server, token
from tests.support.stored import rows
from tests.support.waiting import until

FULL = float(os.environ.get("HOSTILE_SCALE", "1")) > 1
MEMBERS, ROUNDS = (60, 300) if FULL else (16, 30)
UMD = "x" * 600  # of 60 members, a list of 37 KB
# Of the storm's changes the others see a few at once, and then one in two seconds; itself it gets
# the list each time it subscribes.
MAX_CHANGES = 20
SUBSCRIBED, UNSUBSCRIBED = "hotsock.subscribed", "hotsock.unsubscribed"
PRESENT = """
    SELECT m.uid FROM chat_member m JOIN chat_channel c ON c.id = m.channel_id
    WHERE c.name = ? AND NOT m.removed
"""

Two = tuple[Server, Server]


@pytest.fixture
def one(server: Server) -> Iterator[Two]:
    with unharmed(server):
        yield server, server


@pytest.fixture(scope="module")
def two(
    postgres: Postgres, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Two]:
    env = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url}
    directories = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    with (
        start_server("uvicorn", directories[0], **env) as one,
        start_server("uvicorn", directories[1], **env) as two,
    ):
        yield one, two


class Member:
    """One who stays: how much it was sent, and the last list."""

    def __init__(self, socket: Raw, members: list[Any]) -> None:
        self.socket, self.members, self.received = socket, members, 0

    async def read(self) -> None:
        while True:
            opcode, payload = await self.socket.read()
            self.received += len(payload)
            if opcode == PING:
                self.socket.send(frame(payload, PONG))
            else:
                self.members = json.loads(payload)["data"]["members"]


@asynccontextmanager
async def crowd(servers: Two, channel: str) -> AsyncIterator[list[Member]]:
    """All members but one."""
    async with AsyncExitStack() as stack:
        members: list[Member] = []
        for at in range(MEMBERS - 1):
            claims = {"uid": f"m{at:02}", "umd": UMD, "channels": room(channel)}
            socket = await stack.enter_async_context(raw(servers[at % 2], **claims))
            await socket.subscribe(channel)
            members.append(Member(socket, []))
        reading = [asyncio.create_task(member.read()) for member in members]
        told = members[:-1]
        await until(lambda: all(len(m.members) == MEMBERS - 1 for m in told), "all are told")
        for member in members:
            member.received = 0
        yield members
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)


@dataclass
class Storm:
    """The one that changes, and how much it was sent itself."""

    server: Server
    channel: str
    received: int = 0

    @property
    def _claims(self) -> dict[str, Any]:
        return {"uid": "storm", "umd": UMD, "channels": room(self.channel)}

    async def _join(self, client: Client) -> None:
        self.received += len((await client.subscribe(self.channel)).text)

    async def one_after_another(self) -> None:
        async with connect(self.server, **self._claims) as client:
            for _ in range(ROUNDS):
                await self._join(client)
                await client.unsubscribe(self.channel)

    async def all_at_once(self) -> None:
        leave, join = (
            {"event": f"hotsock.{verb}", "channel": self.channel}
            for verb in ("unsubscribe", "subscribe")
        )
        async with connect(self.server, **self._claims) as client:
            await self._join(client)
            await client.send(*[leave, join] * ROUNDS)
            frames = await client.drain()
            self.received += sum(len(frame.text) for frame in frames)
            assert [frame["event"] for frame in frames[-2:]] == [UNSUBSCRIBED, SUBSCRIBED]
            assert len(frames[-1]["data"]["members"]) == MEMBERS

    async def over_reconnects(self) -> None:
        for _ in range(ROUNDS):
            async with connect(self.server, **self._claims) as client:
                await self._join(client)
                client.reset()

    async def by_metadata(self) -> None:
        async with subscribed(self.server, self.channel, **self._claims) as client:
            for at in range(ROUNDS):
                claims = {"umd": f"{at}{UMD}", "channels": {self.channel: {"umdUpdate": True}}}
                jwt = token(self.server, scope="umd", uid="storm", **claims)
                update = {"event": "hotsock.umdUpdate", "channel": self.channel}
                await client.send({**update, "data": {"token": jwt}})
            self.received += sum(len(frame.text) for frame in await client.drain())


STORMS = Storm.one_after_another, Storm.all_at_once, Storm.over_reconnects, Storm.by_metadata
CASES = (
    [(servers, storm) for servers in ("one", "two") for storm in STORMS]
    if FULL
    else [("one", Storm.all_at_once), ("one", Storm.by_metadata)]
)


@pytest.mark.parametrize(("servers", "storm"), CASES)
async def test_a_storm_of_one_member_costs_the_others_little(
    servers: str,
    storm: Callable[[Storm], Awaitable[None]],
    channel: str,
    request: pytest.FixtureRequest,
) -> None:
    """The storm in one process, half of the others in another."""
    running: Two = request.getfixturevalue(servers)
    presence = f"presence.{channel}"
    async with crowd(running, presence) as members:
        stayed = members[0].members
        stormy = Storm(running[0], presence)
        await storm(stormy)
        sent = stormy.received + sum(member.received for member in members)
        size = len(json.dumps(stayed)) + len(UMD) + 200
        assert sent <= size * (MEMBERS * MAX_CHANGES + ROUNDS)
        await until(lambda: all(member.members == stayed for member in members), "it has left")
        present = {uid for (uid,) in rows(running[0], PRESENT, presence)}
        assert present == {member["uid"] for member in stayed}

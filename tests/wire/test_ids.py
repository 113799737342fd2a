"""Message ids (protocol.md section 2)."""

import asyncio
import time

from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.grants import room
from tests.support.servers import Server
from tests.support.ulids import ULID, milliseconds


async def test_ids_are_ulids_of_their_time(any_server: Server, channel: str) -> None:
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        before = int(time.time() * 1000)
        id = await client.store(channel)
        await client.call("publishMessage", {"channel": channel, "event": "typing"})
        after = int(time.time() * 1000)
        assert (await client.receive("chat"))["id"] == id
        assert ULID.fullmatch(id)
        assert before <= milliseconds(id) <= after


async def test_messages_that_are_not_stored_have_ids_of_their_own(
    any_server: Server, channel: str
) -> None:
    messages = {"typing": {"publish": True, "echo": True}}
    async with connect(any_server, channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        for _ in range(20):
            await client.publish(channel, event="typing")
        ids = {(await client.receive("typing"))["id"] for _ in range(20)}
        assert len(ids) == 20
        assert all(ULID.fullmatch(id) for id in ids)


async def test_ids_increase_strictly_also_within_a_millisecond(
    any_server: Server, channel: str
) -> None:
    async def publisher(client: Client) -> None:
        for number in range(50):
            await client.publish(channel, number)
        await client.settle()

    async with (
        connect(any_server, channels=room(channel, historyStart=0)) as first,
        connect(any_server, channels=room(channel, historyStart=0)) as second,
    ):
        await first.subscribe(channel)
        await second.subscribe(channel)
        await asyncio.gather(publisher(first), publisher(second))
        ids = [message["id"] for message in await first.history(channel)]
        assert len(ids) == 100
        assert ids == sorted(set(ids))

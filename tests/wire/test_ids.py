"""Message ids (protocol.md section 2)."""

import time

from tests.support.connecting import subscribed
from tests.support.servers import Server
from tests.support.ulids import ULID, milliseconds


async def test_ids_are_ulids_of_their_time(any_server: Server, channel: str) -> None:
    async with subscribed(any_server, channel, uid="jim") as client:
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
    async with subscribed(any_server, channel, messages) as client:
        for _ in range(20):
            await client.publish(channel, event="typing")
        ids = {(await client.receive("typing"))["id"] for _ in range(20)}
        assert len(ids) == 20
        assert all(ULID.fullmatch(id) for id in ids)

"""Nothing is told before it is committed (protocol.md sections 6, 8 and 9; P1).

The test holds the database so that nothing can be committed, and sees that nothing is told either;
what needs no commit goes on meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from tests.support.client import Client, eventually
from tests.support.connecting import connect, open_client, subscribed
from tests.support.grants import PASSING, STORED, room
from tests.support.raw import cut_handshake
from tests.support.servers import Server, token
from tests.support.stored import rows, rows_of, writes_blocked

MESSAGES = {
    "chat": STORED,
    "typing": {**PASSING, "echo": True},
    "hotsock.messageReaction": {"echo": True},
}


class Held:
    """A server whose commits can be held up, and a witness who is in another channel."""

    def __init__(self, server: Server, witness: Client, elsewhere: str) -> None:
        self.server = server
        self.witness = witness
        self.elsewhere = elsewhere

    async def until_committed(self, *told: Awaitable[Any]) -> list[Any]:
        """What each of `told` gives: none before the commit, while messages that are not stored
        go there and back ten times."""
        with writes_blocked(self.server):
            tasks = [asyncio.ensure_future(each) for each in told]
            await self.passing_time()
            assert not any(task.done() for task in tasks)
        return await asyncio.gather(*tasks)

    async def passing_time(self) -> None:
        for number in range(10):
            await self.witness.publish(self.elsewhere, number, "typing")
            assert (await self.witness.receive("typing"))["data"] == number


@pytest.fixture
async def held(every_server: Server, channel: str) -> AsyncIterator[Held]:
    elsewhere = f"{channel}-elsewhere"
    async with subscribed(every_server, elsewhere, MESSAGES) as witness:
        yield Held(every_server, witness, elsewhere)


async def test_a_connection(held: Held) -> None:
    [client] = await held.until_committed(open_client(held.server, token(held.server)))
    refused = await client.call("listMessages", {"channel": "c"})
    assert refused.refusal == (403, "NOT_SUBSCRIBED")
    await client.aclose()


async def test_a_subscription_and_its_end(held: Held, channel: str) -> None:
    async with connect(held.server, channels=room(channel)) as client:
        await held.until_committed(client.subscribe(channel))
        assert await client.history(channel) == []
        await held.until_committed(client.unsubscribe(channel))
        refused = await client.call("listMessages", {"channel": channel})
        assert refused.refusal == (403, "NOT_SUBSCRIBED")


async def test_a_stored_message_and_a_reaction(held: Held, channel: str) -> None:
    """Neither to who sent it nor to anyone else."""
    channels = room(channel, MESSAGES)

    async def after(sending: Awaitable[None], client: Client) -> Any:
        await sending
        return await client.receive()

    async with (
        subscribed(held.server, channel, uid="jim", channels=channels) as jim,
        subscribed(held.server, channel, uid="pam", channels=channels) as pam,
    ):
        message, seen = await held.until_committed(
            after(jim.publish(channel, "hi"), jim), pam.receive("chat")
        )
        assert message == seen
        assert await pam.history(channel) == [message]
        added, seen = await held.until_committed(
            after(pam.react(channel, message["id"]), pam), jim.receive()
        )
        assert added == seen
        assert await jim.reactions(channel, message["id"]) == [{"reaction": "👍", "uid": "pam"}]


async def test_an_answer_over_http(held: Held, channel: str) -> None:
    async with subscribed(held.server, channel, MESSAGES) as client:
        [id] = await held.until_committed(client.store(channel))
        assert [message["id"] for message in await client.history(channel)] == [id]


async def test_who_leaves_before_the_commit_leaves_no_rows(held: Held, channel: str) -> None:
    """Cut within the handshake and while subscribing; what was asked for is committed later, and
    removed again."""
    jwt = token(held.server, uid=channel, channels=room(channel))
    client = await open_client(held.server, jwt)
    with writes_blocked(held.server):
        for _ in range(5):
            await cut_handshake(held.server, jwt)
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        await held.passing_time()
        client.reset()
        await held.passing_time()
    async with connect(held.server, jwt=jwt) as alive:  # its row comes after theirs

        async def alone() -> bool:
            await alive.settle()
            left = rows(held.server, "SELECT id FROM chat_connection WHERE uid = ?", channel)
            return left == [(alive.id,)]

        assert await eventually(alone)
        assert rows_of(held.server, client.id) == 0

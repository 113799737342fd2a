"""How far history reaches, and what has expired (protocol.md section 8)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.client import eventually
from tests.support.connecting import subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server
from tests.support.stored import expire
from tests.support.ulids import milliseconds


def ids_of(messages: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in messages]


@pytest.fixture
async def kept(every_server: Server, channel: str) -> AsyncIterator[list[str]]:
    """Ids of messages of at least two different milliseconds, stored before anyone asks."""
    async with subscribed(every_server, channel, uid="jim") as jim:
        ids = await jim.fill(channel, 5)
        while milliseconds(ids[-1]) == milliseconds(ids[0]):
            ids += await jim.fill(channel, 5)
        yield ids


async def test_history_start_0_is_everything(
    every_server: Server, channel: str, kept: list[str]
) -> None:
    async with subscribed(every_server, channel, channels=room(channel, historyStart=0)) as client:
        assert ids_of(await client.history(channel)) == kept
        assert ids_of(await client.history(channel, reverse=True)) == kept[::-1]
        assert ids_of(await client.history(channel, after=kept[1])) == kept[2:]


@pytest.mark.parametrize("off", [0, 0.001])
async def test_history_reaches_back_to_history_start_inclusive(
    every_server: Server, channel: str, kept: list[str], off: float
) -> None:
    """To the time of the last message; with `off` to just behind it."""
    start = milliseconds(kept[-1]) / 1000 + off
    inside = [id for id in kept if milliseconds(id) >= start * 1000 - 0.5]
    async with subscribed(
        every_server, channel, channels=room(channel, historyStart=start)
    ) as client:
        assert ids_of(await client.history(channel)) == inside
        assert ids_of(await client.history(channel, reverse=True)) == inside[::-1]
        assert ids_of(await client.history(channel, after=kept[0])) == inside
        assert len(inside) < len(kept)
        assert bool(inside) is not bool(off)


async def test_without_history_start_it_reaches_back_to_the_subscribing(
    every_server: Server, channel: str, kept: list[str]
) -> None:
    async with subscribed(every_server, channel) as client:
        assert await client.history(channel) == []
        assert await client.history(channel, reverse=True) == []
        assert await client.history(channel, after=kept[0]) == []
        first = await client.fill(channel, 2)
        assert ids_of(await client.history(channel)) == first
        assert ids_of(await client.history(channel, reverse=True)) == first[::-1]
        await client.unsubscribe(channel)
        await client.subscribe(channel)
        assert await client.history(channel) == []
        second = await client.fill(channel, 1)
        assert ids_of(await client.history(channel)) == second


async def test_a_history_start_in_the_future_shows_nothing_yet(
    any_server: Server, channel: str
) -> None:
    async with subscribed(
        any_server, channel, channels=room(channel, historyStart=4_000_000_000)
    ) as client:
        await client.fill(channel, 2)
        assert await client.history(channel) == []
        assert await client.history(channel, reverse=True) == []


# --- expiry ---------------------------------------------------------------------------------------


async def test_a_message_expires(every_server: Server, channel: str) -> None:
    messages = {"brief": {**STORED, "store": 1}, "chat": STORED}
    async with subscribed(every_server, channel, messages) as client:
        await client.fill(channel, 1, "brief")
        lasting = await client.fill(channel, 1)

        async def alone() -> bool:
            return ids_of(await client.history(channel)) == lasting

        await eventually(alone)


async def test_expired_messages_are_invisible_before_they_are_purged(
    every_server: Server, channel: str
) -> None:
    """To listMessages, to listReactions and to reactions, while one that lasts stays."""
    messages = {"chat": {**STORED, "store": 3600}}
    async with subscribed(every_server, channel, messages, uid="jim") as client:
        (brief, lasting) = await client.fill(channel, 2)
        await client.react(channel, brief)
        await client.react(channel, lasting)
        await client.settle()
        assert ids_of(await client.history(channel)) == [brief, lasting]
        expire(every_server, brief)
        assert ids_of(await client.history(channel)) == [lasting]
        assert ids_of(await client.history(channel, reverse=True)) == [lasting]
        assert await client.history(channel, before=lasting, reverse=True) == []
        gone = await client.call("listReactions", {"channel": channel, "messageId": brief})
        assert gone.refusal == (404, "MESSAGE_NOT_FOUND")
        for action in ("add", "remove"):
            await client.react(channel, brief, action=action)
            await client.error("MESSAGE_NOT_FOUND", "hotsock.messageReaction", channel)
        kept = await client.call("listReactions", {"channel": channel, "messageId": lasting})
        assert kept.json == {"reactions": [{"reaction": "👍", "uid": "jim"}]}


async def test_pages_go_on_where_they_were_while_others_write_and_messages_expire(
    every_server: Server, channel: str
) -> None:
    """Also where the message expires at which a page ended; a full page is full all the same."""
    async with subscribed(every_server, channel, channels=room(channel, historyStart=0)) as client:
        ids = await client.fill(channel, 220)
        assert ids_of(await client.history(channel)) == ids[:100]
        assert ids_of(await client.history(channel, reverse=True)) == ids[:119:-1]
        for gone in (99, 110, 120):
            expire(every_server, ids[gone])
        ids += await client.fill(channel, 1)
        forward = [id for at, id in enumerate(ids) if at > 99 and at != 110 and at != 120]
        assert ids_of(await client.history(channel, after=ids[99])) == forward[:100]
        backward = [id for at, id in enumerate(ids) if at < 120 and at not in (99, 110)][::-1]
        earlier = await client.history(channel, before=ids[120], reverse=True)
        assert ids_of(earlier) == backward[:100]

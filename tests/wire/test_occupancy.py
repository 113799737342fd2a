"""How many subscribe, for those who asked with their subscription (protocol.md section 19)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.calls import LIMIT_SECONDS
from tests.support.client import PLACE, Client, Frame
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server, token

Two = tuple[Server, Server]


async def follow(client: Client, channel: str, **data: Any) -> int:
    """Subscribes, and gives how many do."""
    body = {"occupancy": True, **data}
    await client.send({"event": "hotsock.subscribe", "channel": channel, "data": body})
    count: int = (await client.receive("hotsock.subscribed"))["data"]["subscriptionsCount"]
    return count


@asynccontextmanager
async def following(server: Server, channel: str, count: int) -> AsyncIterator[Client]:
    async with connect(server, channels=room(channel, getInfo=True)) as client:
        assert await follow(client, channel) == count
        yield client


async def updated(client: Client, channel: str, count: int) -> None:
    """Sooner or later it is told this, and nothing else follows."""
    said: Frame | dict[str, Any] = {}
    async with asyncio.timeout(LIMIT_SECONDS):
        while said.get("data") != {"subscriptionsCount": count}:
            said = await client.receive("hotsock.channelUpdated")
            assert said.keys() == {"event", "channel", "data"}
            assert said["channel"] == channel


async def test_a_subscription_says_how_many_there_are_and_then_every_last_value(
    every_server: Server, channel: str
) -> None:
    """Itself included; those who did not ask get nothing."""
    async with (
        subscribed(every_server, channel) as plain,
        following(every_server, channel, 2) as jim,
    ):
        info = await jim.call("getChannelInfo", {"channel": channel})
        assert info.json["subscriptionsCount"] == 2
        async with following(every_server, channel, 3) as pam:
            await updated(jim, channel, 3)
            await pam.unsubscribe(channel)
            await plain.unsubscribe(channel)
            await updated(jim, channel, 1)
            await pam.nothing()
            await plain.nothing()


async def test_it_counts_what_get_channel_info_counts(server: Server, channel: str) -> None:
    hidden = room(channel, getInfo=True, omitFromSubCount=True)
    async with following(server, channel, 1), connect(server, channels=hidden) as jim:
        assert await follow(jim, channel) == 1


async def test_a_subscription_that_ends_with_its_connection_is_followed_in_another_process(
    processes: Two, channel: str
) -> None:
    async with (
        following(processes[0], channel, 1) as jim,
        subscribed(processes[1], channel) as pam,
    ):
        await updated(jim, channel, 2)
        pam.reset()
        await updated(jim, channel, 1)


async def test_it_needs_get_info(any_server: Server, channel: str) -> None:
    """Of both tokens together; without it there is no subscription."""
    asking = {"event": "hotsock.subscribe", "channel": channel, "data": {"occupancy": True}}
    async with connect(any_server, channels=room(channel), uid="jim") as jim:
        await jim.send(asking)
        await jim.error("INFO_PERMISSION_DENIED", "hotsock.subscribe", channel)
        await jim.publish(channel)
        await jim.error("NOT_SUBSCRIBED", "chat", channel)
        channels = {channel: {"getInfo": True}}
        more = token(any_server, scope="subscribe", uid="jim", channels=channels)
        assert await follow(jim, channel, token=more) == 1


@pytest.mark.parametrize("asked", [None, False])
async def test_who_does_not_ask_is_told_nothing(server: Server, channel: str, asked: Any) -> None:
    data = {"occupancy": asked}
    async with connect(server, channels=room(channel, getInfo=True)) as jim:
        await jim.send({"event": "hotsock.subscribe", "channel": channel, "data": data})
        assert (await jim.receive("hotsock.subscribed"))["data"] == PLACE


async def test_a_presence_channel_has_its_members_too(server: Server, channel: str) -> None:
    channel = f"presence.{channel}"
    async with connect(server, channels=room(channel, getInfo=True), uid="jim") as jim:
        data = {"occupancy": True}
        await jim.send({"event": "hotsock.subscribe", "channel": channel, "data": data})
        members = [{"uid": "jim", "umd": None}]
        data = (await jim.receive("hotsock.subscribed"))["data"]
        assert data == {"members": members, "subscriptionsCount": 1, **PLACE}

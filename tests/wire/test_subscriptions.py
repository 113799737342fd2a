"""Subscribing and unsubscribing (protocol.md section 7)."""

from typing import Any

import pytest

from tests.support.client import PLACE
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server

SUBSCRIBE = "hotsock.subscribe"


@pytest.mark.parametrize("data", [None, {}, {"token": None}, {"other": 1}])
async def test_a_subscribe_is_answered(every_server: Server, channel: str, data: Any) -> None:
    async with connect(every_server, uid="jim", umd={"a": 1}, channels=room(channel)) as client:
        about = {"channel": channel, "data": {}, "meta": {"uid": "jim", "umd": {"a": 1}}}
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": data})
        joined = {"event": "hotsock.subscribed", **about, "data": PLACE}
        assert await client.receive() == joined
        await client.send({"event": "hotsock.unsubscribe", "channel": channel})
        assert await client.receive() == {"event": "hotsock.unsubscribed", **about}


async def test_subscribing_twice_is_told_and_changes_nothing(
    any_server: Server, channel: str
) -> None:
    async with subscribed(any_server, channel) as client:
        await client.send({"event": SUBSCRIBE, "channel": channel})
        await client.error("ALREADY_SUBSCRIBED", SUBSCRIBE, channel)
        await client.publish(channel)
        await client.receive("chat")
        await client.nothing()  # one subscription, one copy
        await client.unsubscribe(channel)
        await client.send({"event": "hotsock.unsubscribe", "channel": channel})
        await client.error("NOT_SUBSCRIBED", "hotsock.unsubscribe", channel)


async def test_subscribing_again_after_unsubscribing(any_server: Server, channel: str) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        for _ in range(3):
            await client.subscribe(channel)
            await client.publish(channel)
            await client.receive("chat")
            await client.unsubscribe(channel)
            await client.nothing()


async def test_no_permission_is_told(any_server: Server, channel: str) -> None:
    channels = {channel: {"messages": {"*": {"publish": True}}}}
    for granted in ({}, channels, {channel: {"subscribe": False}}):
        async with connect(any_server, channels=granted) as client:
            await client.send({"event": SUBSCRIBE, "channel": channel})
            await client.error("SUBSCRIBE_PERMISSION_DENIED", SUBSCRIBE, channel)


async def test_a_subscription_is_one_channels(any_server: Server, channel: str) -> None:
    names = [f"{channel}-{letter}" for letter in "ab"]
    channels = room(names[0]) | room(names[1])
    async with (
        connect(any_server, channels=channels) as both,
        connect(any_server, channels=channels) as one,
    ):
        for name in names:
            await both.subscribe(name)
        await one.subscribe(names[0])
        await both.publish(names[1])
        await both.publish(names[0])
        assert (await one.receive("chat"))["channel"] == names[0]
        await one.nothing(both)


async def test_a_connection_has_at_most_2000_subscriptions(server: Server, channel: str) -> None:
    """Begun by the token, as far as it says so in 64 KiB, and by frames below the rate limit."""
    channels = {f"{channel[5:15]}{at}": {"autoSubscribe": True} for at in range(1100)}
    channels[f"{channel}*"] = {"subscribe": True}
    async with connect(server, channels=channels) as client:
        for _ in range(1100):
            await client.receive("hotsock.subscribed")
        for at in range(900):
            await client.subscribe(f"{channel}{at}")
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        await client.error("RATE_LIMITED", "hotsock.subscribe", channel)
        await client.unsubscribe(f"{channel}0")
        await client.subscribe(channel)

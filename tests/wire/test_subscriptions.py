"""Subscribing and unsubscribing (protocol.md section 7)."""

import asyncio
import time
from typing import Any

import pytest

from tests.servers import Server, token
from tests.wire.client import connect
from tests.wire.grants import room

SUBSCRIBE = "hotsock.subscribe"


# --- hotsock.subscribed and hotsock.unsubscribed ------------------------------------------------


@pytest.mark.parametrize("data", [None, {}, {"token": None}, {"other": 1}])
async def test_a_subscribe_is_answered(every_server: Server, channel: str, data: Any) -> None:
    async with connect(every_server, uid="jim", umd={"a": 1}, channels=room(channel)) as client:
        about = {"channel": channel, "data": {}, "meta": {"uid": "jim", "umd": {"a": 1}}}
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": data})
        assert await client.receive() == {"event": "hotsock.subscribed", **about}
        await client.send({"event": "hotsock.unsubscribe", "channel": channel})
        assert await client.receive() == {"event": "hotsock.unsubscribed", **about}


async def test_meta_is_null_where_the_token_says_nothing(any_server: Server, channel: str) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        assert (await client.subscribe(channel))["meta"] == {"uid": None, "umd": None}


async def test_subscribing_twice_is_told_and_changes_nothing(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        await client.send({"event": SUBSCRIBE, "channel": channel})
        await client.error("ALREADY_SUBSCRIBED", SUBSCRIBE, channel)
        await client.publish(channel)
        await client.receive("chat")
        await client.nothing()  # one subscription, one copy
        await client.unsubscribe(channel)
        await client.send({"event": "hotsock.unsubscribe", "channel": channel})
        await client.error("NOT_SUBSCRIBED", "hotsock.unsubscribe", channel)


async def test_unsubscribing_without_a_subscription_is_told(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels=room(channel)) as client:
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


@pytest.mark.parametrize("uid", [None, ""])
async def test_a_presence_channel_needs_a_uid(
    any_server: Server, channel: str, uid: str | None
) -> None:
    name = f"presence.{channel}"
    async with connect(any_server, uid=uid, channels=room(name)) as client:
        await client.send({"event": SUBSCRIBE, "channel": name})
        await client.error("PRESENCE_CHANNEL_USER_ID_REQUIRED", SUBSCRIBE, name)


# --- subscribe tokens ---------------------------------------------------------------------------

BOUND: dict[str, dict[str, Any]] = {
    "by uid": {"uid": "jim"},
    "by connectionId": {"connectionId": "ID"},
    "by connectionId, another uid": {"connectionId": "ID", "uid": "pam"},
    "by both": {"connectionId": "ID", "uid": "jim"},
}
UNBOUND: dict[str, dict[str, Any]] = {
    "by nothing": {},
    "by another uid": {"uid": "pam"},
    "by an empty uid": {"uid": ""},
    "by another connectionId": {"connectionId": "JCnTZd_KoAMCF-A="},
    "by another connectionId, this uid": {"connectionId": "JCnTZd_KoAMCF-A=", "uid": "jim"},
    "by an empty connectionId, this uid": {"connectionId": "", "uid": "jim"},
    "of scope connect": {"uid": "jim", "scope": "connect"},
    "of scope umd": {"uid": "jim", "scope": "umd"},
    "without scope": {"uid": "jim", "scope": None},
    "expired": {"uid": "jim", "exp": time.time() - 1},
    "without exp": {"uid": "jim", "exp": None},
    "not yet": {"uid": "jim", "nbf": time.time() + 3600},
    "single use without jti": {"uid": "jim", "singleUse": True},
    "a bad directive": {"uid": "jim", "channels": {"c": {"alias": "#"}}},
}


def subscribe_token(server: Server, channel: str, connection_id: str, claims: Any) -> str:
    bound = {name: connection_id if value == "ID" else value for name, value in claims.items()}
    return token(server, **{"scope": "subscribe", "channels": room(channel), **bound})


@pytest.mark.parametrize("claims", BOUND.values(), ids=BOUND)
async def test_a_subscribe_token_bound(
    any_server: Server, channel: str, claims: dict[str, Any]
) -> None:
    async with connect(any_server, uid="jim") as client:
        await client.subscribe(channel, subscribe_token(any_server, channel, client.id, claims))


@pytest.mark.parametrize("claims", UNBOUND.values(), ids=UNBOUND)
async def test_a_subscribe_token_is_refused(
    any_server: Server, channel: str, claims: dict[str, Any]
) -> None:
    channels = room(channel)  # the connect token would do
    async with connect(any_server, uid="jim", channels=channels) as client:
        data = {"token": subscribe_token(any_server, channel, client.id, claims)}
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": data})
        await client.error("INVALID_SUBSCRIBE_TOKEN", SUBSCRIBE, channel)
        await client.subscribe(channel)


@pytest.mark.parametrize("jwt", ["", "nonsense", "a.b.c"])
async def test_what_is_no_token_is_refused(any_server: Server, channel: str, jwt: str) -> None:
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": {"token": jwt}})
        await client.error("INVALID_SUBSCRIBE_TOKEN", SUBSCRIBE, channel)


@pytest.mark.parametrize("uid", [None, ""])
async def test_a_connection_without_a_uid_is_bound_by_its_id_alone(
    any_server: Server, channel: str, uid: str | None
) -> None:
    async with connect(any_server, uid=uid) as client:
        for claims in ({"uid": uid}, {"uid": "jim"}):
            data = {"token": subscribe_token(any_server, channel, client.id, claims)}
            await client.send({"event": SUBSCRIBE, "channel": channel, "data": data})
            await client.error("INVALID_SUBSCRIBE_TOKEN", SUBSCRIBE, channel)
        jwt = subscribe_token(any_server, channel, client.id, {"connectionId": "ID", "uid": "pam"})
        assert (await client.subscribe(channel, jwt))["meta"]["uid"] == "pam"


async def test_a_refused_token_is_not_logged(any_server: Server, channel: str) -> None:
    async with connect(any_server, uid="jim") as client:
        jwt = subscribe_token(any_server, channel, client.id, {"uid": "jim", "exp": 1})
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": {"token": jwt}})
        error = await client.receive("hotsock.error")
    log = any_server.log.read_text()
    for part in jwt.split(".")[1:]:
        assert part not in error.text
        assert part not in log


# --- from subscribed to unsubscribed ------------------------------------------------------------


async def test_what_is_published_after_subscribed_arrives(
    every_server: Server, channel: str
) -> None:
    """In the middle of a stream: from the first message on that its publisher sends after the
    subscriber was told, none is missing."""
    sent: list[int] = []
    begun, subscribed = asyncio.Event(), asyncio.Event()

    async with (
        connect(every_server, channels=room(channel)) as publisher,
        connect(every_server, channels=room(channel)) as subscriber,
    ):
        await publisher.subscribe(channel)

        async def stream() -> None:
            """Stored and not stored by turns, until twenty were sent after the subscribing."""
            rest = 20
            while rest:
                rest -= subscribed.is_set()
                sent.append(len(sent))
                await publisher.publish(channel, sent[-1], ("chat", "typing")[len(sent) % 2])
                if len(sent) % 2 == 0:
                    await publisher.receive("chat")
                if len(sent) == 20:
                    begun.set()

        async def subscribe() -> int:
            await begun.wait()
            await subscriber.subscribe(channel)
            subscribed.set()
            return len(sent)

        first, _ = await asyncio.gather(subscribe(), stream())
        await publisher.settle()
        got = [frame["data"] for frame in await subscriber.drain()]
        assert got == sent[-len(got) :]
        assert len(sent) - len(got) <= first


async def test_nothing_follows_unsubscribed(every_server: Server, channel: str) -> None:
    """In the middle of a stream of two publishers."""
    unsubscribed = asyncio.Event()
    async with (
        connect(every_server, channels=room(channel)) as one,
        connect(every_server, channels=room(channel)) as two,
        connect(every_server, channels=room(channel)) as subscriber,
    ):
        await subscriber.subscribe(channel)

        async def stream(client: Any) -> None:
            await client.subscribe(channel)
            rest = 20
            while rest:
                rest -= unsubscribed.is_set()
                await client.publish(channel)
                await client.publish(channel, event="typing")
                await client.settle()

        async def leave() -> None:
            for _ in range(20):
                await subscriber.receive()
            await subscriber.send({"event": "hotsock.unsubscribe", "channel": channel})
            while (await subscriber.receive())["event"] != "hotsock.unsubscribed":
                pass
            unsubscribed.set()

        await asyncio.gather(stream(one), stream(two), leave())
        await subscriber.nothing(one, two)


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

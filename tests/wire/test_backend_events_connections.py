"""What the application's backend is told of connections, subscriptions and members (protocol.md
section 16), however they end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, eventually
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import SHORT_LEASE, start_server, token
from tests.support.webhook_receiver import Delivery, Receiver
from tests.wire.test_backend_events import Reporting, metadata, reporting, waiting

__all__ = ["reporting"]


@pytest.fixture
def presence(channel: str) -> str:
    return f"presence.{channel}"


def told(delivery: Delivery) -> tuple[str, Any]:
    """Its type and what is most telling of its data."""
    data = delivery.body["data"]
    for name in ("subscriptionsCount", "connectionId", "uid"):
        if name in data:
            return delivery.type, data[name]
    return delivery.type, None


async def of_connection(reporting: Reporting, id: str, count: int) -> list[Delivery]:
    return await reporting.receiver.wait(
        count,
        lambda found: found.body["dataType"] == "connection" and found.body["data"]["id"] == id,
    )


async def umd_update(client: Client, reporting: Reporting, umd: Any, **claims: Any) -> None:
    rights = {"connectionId": client.id, "umd": umd, "umdUpdate": True, **claims}
    jwt = token(reporting.server, scope="umd", **rights)
    await client.send({"event": "hotsock.umdUpdate", "data": {"token": jwt}})
    while (await client.receive())["event"] != "hotsock.umdUpdated":
        pass


async def test_a_connection_begins_changes_and_ends(reporting: Reporting) -> None:
    claims = {"uid": "jim", "umd": {"a": 1}, "keepAlive": True, "channels": {}}
    async with connect(reporting.server, **claims) as jim:
        await umd_update(jim, reporting, {"a": 1})  # as it is
        await umd_update(jim, reporting, {"a": 2})
    begun, updated, ended = await of_connection(reporting, jim.id, 3)
    data = begun.body["data"]
    began = data["connectedAt"]
    agent = data["userAgent"]
    assert began.endswith("Z")
    assert "Python" in agent
    shared = {
        "id": jim.id,
        "connectedAt": began,
        "disconnectedAt": None,
        "keepAlive": True,
        "sourceIp": "127.0.0.1",
        "uid": "jim",
        "umd": {"a": 1},
        "userAgent": agent,
    }
    assert begun.body == {
        "source": "hotsock.v1",
        "type": "hotsock.connected",
        "metadata": {"hotsockVersion": "1.13.0"},
        "data": shared,
        "dataType": "connection",
    }
    assert updated.body["type"] == "hotsock.connectionUpdated"
    assert updated.body["data"] == {**shared, "umd": {"a": 2}}
    assert ended.body["type"] == "hotsock.disconnected"
    ended_at = ended.body["data"]["disconnectedAt"]
    assert ended_at >= began
    assert ended.body["data"] == {**shared, "umd": {"a": 2}, "disconnectedAt": ended_at}


async def test_a_subscription_begins_and_ends(reporting: Reporting, channel: str) -> None:
    claims = {"uid": "jim", "umd": 1, "channels": room(channel)}
    async with connect(reporting.server, **claims) as jim:
        await jim.subscribe(channel)
        await jim.unsubscribe(channel)
        begun, one, ended, none = await reporting.receiver.on(channel, 4)
    assert begun.body == {
        "source": "hotsock.v1",
        "type": "hotsock.subscribed",
        "metadata": metadata(channel),
        "data": {"channel": channel, "connectionId": jim.id, "uid": "jim", "umd": 1},
        "dataType": "subscription",
    }
    assert one.body == {
        "source": "hotsock.v1",
        "type": "hotsock.channelUpdated",
        "metadata": metadata(channel),
        "data": {"name": channel, "subscriptionsCount": 1},
        "dataType": "channel",
    }
    assert ended.body == {**begun.body, "type": "hotsock.unsubscribed"}
    assert none.body == {**one.body, "data": {"name": channel, "subscriptionsCount": 0}}


async def test_who_is_not_counted_changes_no_count(reporting: Reporting, channel: str) -> None:
    hidden = room(channel, omitFromSubCount=True)
    async with (
        subscribed(reporting.server, channel, uid="jim", channels=hidden) as jim,
        subscribed(reporting.server, channel, uid="pam") as pam,
    ):
        await jim.unsubscribe(channel)
        await pam.unsubscribe(channel)
        found = await reporting.receiver.on(channel, 6)
    assert list(map(told, found)) == [
        ("subscribed", jim.id),
        ("subscribed", pam.id),
        ("channelUpdated", 1),
        ("unsubscribed", jim.id),
        ("unsubscribed", pam.id),
        ("channelUpdated", 0),
    ]


async def test_subscriptions_end_with_their_connection(reporting: Reporting, channel: str) -> None:
    other = f"{channel}-2"
    async with subscribed(reporting.server, channel, uid="pam"):
        channels = room(channel) | room(other)
        async with subscribed(reporting.server, channel, uid="jim", channels=channels) as jim:
            await jim.subscribe(other)
            jim.reset()
            found = await reporting.receiver.on(channel, 6)
            elsewhere = await reporting.receiver.on(other, 4)
    assert list(map(told, found))[2:] == [
        ("subscribed", jim.id),
        ("channelUpdated", 2),
        ("unsubscribed", jim.id),
        ("channelUpdated", 1),
    ]
    assert list(map(told, elsewhere))[2:] == [("unsubscribed", jim.id), ("channelUpdated", 0)]
    *_, ended = await of_connection(reporting, jim.id, 2)
    assert ended.type == "disconnected"


async def test_members(reporting: Reporting, presence: str) -> None:
    async with subscribed(reporting.server, presence, uid="jim", umd=1) as jim:
        async with subscribed(reporting.server, presence, uid="pam") as pam:
            await jim.receive("hotsock.memberAdded")
            await umd_update(pam, reporting, "hi", umdPropagate=True)
        await jim.receive("hotsock.memberUpdated")
        await jim.receive("hotsock.memberRemoved")
        found = await reporting.receiver.wait(
            4,
            lambda found: found.channel == presence and found.body["dataType"] == "channelMember",
        )
    added, _, updated, removed = found
    jim_there = {"uid": "jim", "umd": 1}
    assert added.body == {
        "source": "hotsock.v1",
        "type": "hotsock.memberAdded",
        "metadata": metadata(presence),
        "data": {**jim_there, "members": [jim_there]},
        "dataType": "channelMember",
    }
    pam_there = {"uid": "pam", "umd": "hi"}
    assert (updated.type, updated.body["data"]) == (
        "memberUpdated",
        {**pam_there, "members": [jim_there, pam_there]},
    )
    assert (removed.type, removed.body["data"]) == (
        "memberRemoved",
        {**pam_there, "members": [jim_there]},
    )


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


async def test_what_a_killed_server_held_is_reported_by_the_next(
    backend: Receiver, channel: str, presence: str, tmp_path: Path
) -> None:
    channels = room(channel) | room(presence)
    with start_server("uvicorn", tmp_path, **backend.environment, **SHORT_LEASE) as server:
        async with subscribed(server, channel, uid="jim", channels=channels) as jim:
            await jim.subscribe(presence)
            async with connect(server, uid="pam", channels={}) as pam:
                await backend.on(presence, 3)
                for stream in (channel, presence, jim.id, pam.id):  # what is under way waits longer
                    await eventually(lambda stream=stream: waiting(server, stream, 0))
                server.kill()
        server.restart()
        found = await backend.on(channel, 4)
        there = await backend.on(presence, 6)
        ended = await backend.wait(2, lambda found: found.type == "disconnected")
    assert list(map(told, found))[2:] == [("unsubscribed", jim.id), ("channelUpdated", 0)]
    assert {told(delivery)[0] for delivery in there[3:]} == {
        "unsubscribed",
        "channelUpdated",
        "memberRemoved",
    }
    assert {delivery.body["data"]["id"] for delivery in ended} == {jim.id, pam.id}


async def test_a_shutdown_is_reported_after_the_restart(
    backend: Receiver, channel: str, tmp_path: Path
) -> None:
    with start_server("uvicorn", tmp_path, **backend.environment) as server:
        async with subscribed(server, channel, uid="jim") as jim:
            await backend.on(channel, 2)
            await asyncio.to_thread(server.restart)
        found = await backend.on(channel, 4)
        await backend.wait(1, lambda found: found.type == "disconnected")
    assert list(map(told, found))[2:] == [("unsubscribed", jim.id), ("channelUpdated", 0)]

"""`connection/getChannelInfo`: who may ask, who is counted, who is there (protocol.md 14, 4, 5)."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server, token


async def info(client: Client, channel: str) -> dict[str, Any]:
    answer = await client.call("getChannelInfo", {"channel": channel})
    assert answer.status == 200, answer.text
    said: dict[str, Any] = answer.json
    return said


async def test_subscriptions_are_counted(every_server: Server, channel: str) -> None:
    channels = room(channel, getInfo=True)
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, uid="jim", channels=channels) as again,
        connect(every_server, channels=channels) as nobody,
    ):
        counts = []
        for client in (jim, again, nobody):
            counts.append((await info(jim, channel))["subscriptionsCount"])
            await client.subscribe(channel)
        assert await info(nobody, channel) == {"channel": channel, "subscriptionsCount": 3}
        await again.unsubscribe(channel)
        counts.append((await info(jim, channel))["subscriptionsCount"])
        assert counts == [0, 1, 2, 2]


async def test_no_subscription_is_needed_and_an_unknown_channel_has_nobody(
    server: Server, channel: str
) -> None:
    async with connect(server, channels={"*": {"getInfo": True}}) as client:
        assert await info(client, channel) == {"channel": channel, "subscriptionsCount": 0}
        presence = f"presence.{channel}"
        empty = {"channel": presence, "subscriptionsCount": 0, "members": []}
        assert await info(client, presence) == empty


async def test_those_under_omit_from_sub_count_are_not_counted(
    every_server: Server, channel: str
) -> None:
    counted = room(channel, getInfo=True)
    async with (
        subscribed(every_server, channel, channels=room(channel, omitFromSubCount=True)),
        connect(every_server, uid="jim", channels=counted) as client,
    ):
        assert (await info(client, channel))["subscriptionsCount"] == 0
        hidden = token(
            every_server,
            scope="subscribe",
            uid="jim",
            channels=room(channel, omitFromSubCount=True),
        )
        await client.subscribe(channel, hidden)
        assert (await info(client, channel))["subscriptionsCount"] == 0


async def test_members_are_listed_with_their_metadata(every_server: Server, channel: str) -> None:
    channel = f"presence.{channel}"
    channels = room(channel, getInfo=True, omitFromSubCount=True)
    async with (
        subscribed(every_server, channel, uid="jim", umd={"a": 1.0}, channels=channels),
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        assert await info(pam, channel) == {
            "channel": channel,
            "subscriptionsCount": 0,
            "members": [{"uid": "jim", "umd": {"a": 1.0}}, {"uid": "pam", "umd": None}],
        }


async def test_an_alias_is_answered_with_the_real_name(server: Server, channel: str) -> None:
    async with connect(server, channels=room(channel, getInfo=True, alias="room")) as client:
        assert await info(client, "room") == {"channel": channel, "subscriptionsCount": 0}


@pytest.mark.parametrize("directives", [{}, {"getInfo": False}, {"getInfo": None}])
async def test_without_get_info_it_is_refused(
    server: Server, channel: str, directives: dict[str, Any]
) -> None:
    async with subscribed(server, channel, channels=room(channel, **directives)) as client:
        answer = await client.call("getChannelInfo", {"channel": channel})
        assert answer.refusal == (403, "INFO_PERMISSION_DENIED")


async def test_an_explicit_false_of_the_subscribe_token_wins(server: Server, channel: str) -> None:
    async with connect(server, uid="jim", channels=room(channel, getInfo=True)) as client:
        refusing = token(
            server, scope="subscribe", uid="jim", channels=room(channel, getInfo=False)
        )
        await client.subscribe(channel, refusing)
        answer = await client.call("getChannelInfo", {"channel": channel})
        assert answer.refusal == (403, "INFO_PERMISSION_DENIED")
        await client.unsubscribe(channel)
        assert (await info(client, channel))["subscriptionsCount"] == 0

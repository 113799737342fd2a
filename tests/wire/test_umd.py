"""A user's metadata changes while it is connected, over both doors (protocol.md section 11)."""

import secrets
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server, token

DOORS = pytest.mark.parametrize("door", ["socket", "http"])
UPDATED = "hotsock.memberUpdated"


def umd_token(server: Server, **claims: Any) -> str:
    return token(server, **{"scope": "umd", "uid": "jim", "umd": "new", **claims})


def allowing(*channels: str) -> dict[str, Any]:
    return {"channels": {channel: {"umdUpdate": True} for channel in channels}}


async def ask(client: Client, jwt: str | None, channel: str | None = None) -> None:
    """Over the socket."""
    where = {} if channel is None else {"channel": channel}
    await client.send({"event": "hotsock.umdUpdate", **where, "data": {"token": jwt}})


async def update(client: Client, door: str, jwt: str, channel: str | None = None) -> None:
    """It succeeds; over the socket its reply is the next frame."""
    if door == "socket":
        await ask(client, jwt, channel)
        await client.receive("hotsock.umdUpdated")
        return
    answer = await client.call("umdUpdate", {"token": jwt, "channel": channel})
    assert (answer.status, answer.json) == (200, {})


async def refused(
    client: Client, door: str, code: str, jwt: str, channel: str | None = None
) -> None:
    if door == "socket":
        await ask(client, jwt, channel)
        await client.error(code, "hotsock.umdUpdate", channel)
    else:
        answer = await client.call("umdUpdate", {"token": jwt, "channel": channel})
        assert answer.refusal == (403, code)


async def shown(client: Client, channel: str) -> Any:
    """The metadata with which its messages go out, over the socket and over HTTP."""
    await client.publish(channel, "socket")
    over_socket = (await client.receive("chat"))["meta"]["umd"]
    await client.store(channel, "http")
    assert (await client.receive("chat"))["meta"]["umd"] == over_socket
    return over_socket


# --- one subscription --------------------------------------------------------------------------


async def test_the_reply_says_what_it_is_now(every_server: Server, channel: str) -> None:
    async with subscribed(every_server, channel, uid="jim", umd=1) as jim:
        await ask(jim, umd_token(every_server, umd={"a": 1.0}, **allowing(channel)), channel)
        assert await jim.receive() == {
            "event": "hotsock.umdUpdated",
            "channel": channel,
            "data": {},
            "meta": {"uid": "jim", "umd": {"a": 1.0}},
        }
        await ask(jim, umd_token(every_server, umd=2, umdUpdate=True))
        assert await jim.receive() == {
            "event": "hotsock.umdUpdated",
            "data": {},
            "meta": {"uid": "jim", "umd": 2},
        }


@DOORS
async def test_with_a_channel_that_subscription_changes(
    every_server: Server, channel: str, door: str
) -> None:
    other = f"{channel}-other"
    channels = {**room(channel), **room(other)}
    async with connect(every_server, uid="jim", umd="old", channels=channels) as jim:
        for name in (channel, other):
            await jim.subscribe(name)
        await update(jim, door, umd_token(every_server, **allowing(channel)), channel)
        assert [await shown(jim, name) for name in (channel, other)] == ["new", "old"]
        await jim.unsubscribe(channel)  # later subscriptions are the connection's
        assert (await jim.subscribe(channel))["meta"] == {"uid": "jim", "umd": "old"}


@DOORS
async def test_an_alias_names_its_channel(server: Server, channel: str, door: str) -> None:
    async with subscribed(server, "here", uid="jim", channels=room(channel, alias="here")) as jim:
        await update(jim, door, umd_token(server, **allowing(channel)), "here")
        assert await shown(jim, channel) == "new"


async def test_absent_metadata_means_null(server: Server, channel: str) -> None:
    async with subscribed(server, channel, uid="jim", umd="old") as jim:
        await update(jim, "socket", umd_token(server, umd=None, **allowing(channel)), channel)
        assert await shown(jim, channel) is None


# --- the connection ----------------------------------------------------------------------------


@DOORS
async def test_without_a_channel_later_subscriptions_change(
    every_server: Server, channel: str, door: str
) -> None:
    later = f"{channel}-later"
    channels = {
        **room(channel),
        **room(later),
        **room("aside", {"chat": {"broadcast": True, "store": 60}}),
    }
    async with subscribed(every_server, channel, uid="jim", umd="old", channels=channels) as jim:
        await update(jim, door, umd_token(every_server, umdUpdate=True))
        assert await shown(jim, channel) == "old"
        assert (await jim.subscribe(later))["meta"]["umd"] == "new"
        assert await shown(jim, later) == "new"


@DOORS
async def test_with_umd_propagate_present_ones_change_too(
    every_server: Server, channel: str, door: str
) -> None:
    names = [channel, f"presence.{channel}"]
    channels = {**room(names[0]), **room(names[1])}
    async with connect(every_server, uid="jim", umd="old", channels=channels) as jim:
        for name in names:
            await jim.subscribe(name)
        jwt = umd_token(every_server, umdUpdate=True, umdPropagate=True)
        if door == "socket":
            await ask(jim, jwt)
            await jim.receive(UPDATED)
            await jim.receive("hotsock.umdUpdated")
        else:
            await update(jim, door, jwt)
            await jim.receive(UPDATED)
        assert [await shown(jim, name) for name in names] == ["new", "new"]


async def test_over_http_it_reaches_those_that_begin_meanwhile(
    every_server: Server, channel: str
) -> None:
    """Each is present, and changes, or comes later, and begins with the new metadata."""
    names = [f"{channel}-{number}" for number in range(50)]
    channels = {name: rights for each in names for name, rights in room(each).items()}
    async with connect(every_server, uid="jim", umd="old", channels=channels) as jim:
        jwt = umd_token(every_server, umdUpdate=True, umdPropagate=True)
        for name in names:
            await jim.send({"event": "hotsock.subscribe", "channel": name})
        await update(jim, "http", jwt)
        await jim.drain()
        for name in names:
            await jim.publish(name)
        told = [frame["meta"]["umd"] for frame in await jim.drain()]
        assert told == ["new"] * len(names)


# --- presence ----------------------------------------------------------------------------------


@DOORS
async def test_members_learn_of_it(every_server: Server, channel: str, door: str) -> None:
    channel = f"presence.{channel}"
    channels = room(channel)
    async with (
        subscribed(every_server, channel, uid="jim", umd="old", channels=channels) as jim,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        await jim.receive("hotsock.memberAdded")
        jwt = umd_token(every_server, **allowing(channel))
        if door == "socket":
            await ask(jim, jwt, channel)
        else:
            answer = await jim.call("umdUpdate", {"token": jwt, "channel": channel})
            assert answer.status == 200
        now = {"uid": "jim", "umd": "new"}
        members = [now, {"uid": "pam", "umd": None}]
        expected = {
            "event": UPDATED,
            "channel": channel,
            "data": {"member": now, "members": members},
        }
        assert await jim.receive(UPDATED) == expected
        assert await pam.receive(UPDATED) == expected
        if door == "socket":
            await jim.receive("hotsock.umdUpdated")
        await update(jim, door, jwt, channel)  # the same again is no change
        await jim.nothing()
        await pam.nothing(jim)


async def test_nobody_learns_of_the_connections_own(server: Server, channel: str) -> None:
    channel = f"presence.{channel}"
    async with subscribed(server, channel, uid="jim", umd="old") as jim:
        await update(jim, "socket", umd_token(server, umdUpdate=True))
        await jim.nothing()


async def test_what_would_overfill_a_presence_channel_changes_nothing(
    every_server: Server, channel: str
) -> None:
    """With umdPropagate neither the connection nor its other subscriptions change."""
    full, calm = f"presence.{channel}", f"presence.{channel}-calm"
    channels = {**room(full, getInfo=True), **room(calm), **room(channel)}
    async with AsyncExitStack() as stack:
        for number in range(99):
            opening = connect(every_server, uid=f"m{number:02}", umd="x" * 979, channels=room(full))
            client = await stack.enter_async_context(opening)
            await client.subscribe(full)
        opening = connect(every_server, uid="jim", umd="old", channels=channels)
        jim = await stack.enter_async_context(opening)
        for name in (channel, calm, full):
            await jim.subscribe(name)
        large = "x" * 981  # {"uid":"jim","umd":"…"} of a byte too much
        jwt = umd_token(
            every_server, umd=large, umdUpdate=True, umdPropagate=True, **allowing(full)
        )
        code = "PRESENCE_CHANNEL_CAPACITY_REACHED"
        for meant in (full, None):
            await ask(jim, jwt, meant)
            await jim.error(code, "hotsock.umdUpdate", meant or full)
            await refused(jim, "http", code, jwt, meant)
        for name in (channel, calm):
            assert await shown(jim, name) == "old"
        await jim.unsubscribe(calm)
        assert (await jim.subscribe(calm))["meta"]["umd"] == "old"
        info = await jim.call("getChannelInfo", {"channel": full})
        assert info.json["members"][-1] == {"uid": "jim", "umd": "old"}


# --- who may -----------------------------------------------------------------------------------

BAD: dict[str, dict[str, Any]] = {
    "of another scope": {"scope": "subscribe"},
    "expired": {"exp": time.time() - 1},
    "not yet valid": {"nbf": time.time() + 3600},
    "for another uid": {"uid": "pam"},
    "for nobody": {"uid": None},
    "for another connection": {"connectionId": "other"},
    "too much metadata": {"umd": "x" * 1023},
}


@DOORS
@pytest.mark.parametrize("claims", BAD.values(), ids=BAD)
async def test_a_bad_token_is_refused(
    server: Server, channel: str, door: str, claims: dict[str, Any]
) -> None:
    async with subscribed(server, channel, uid="jim", umd="old") as jim:
        jwt = umd_token(server, **{"umdUpdate": True, **allowing(channel), **claims})
        for meant in (None, channel):
            await refused(jim, door, "INVALID_UMD_TOKEN", jwt, meant)
        assert await shown(jim, channel) == "old"


async def test_it_may_be_bound_by_the_connection_alone(server: Server, channel: str) -> None:
    async with subscribed(server, channel) as nobody:
        jwt = umd_token(server, uid="other", connectionId=nobody.id, **allowing(channel))
        await update(nobody, "socket", jwt, channel)
        assert await shown(nobody, channel) == "new"


@DOORS
async def test_an_empty_uid_binds_nobody(server: Server, door: str) -> None:
    async with connect(server, uid="") as nobody:
        jwt = umd_token(server, uid="", umdUpdate=True)
        await refused(nobody, door, "INVALID_UMD_TOKEN", jwt)


DENIED: dict[str, tuple[dict[str, Any], bool]] = {  # claims, and whether a channel is named
    "nothing stated, connection": ({}, False),
    "only a channel stated, connection": (allowing("*"), False),
    "nothing stated, channel": ({}, True),
    "only the connection stated, channel": ({"umdUpdate": True, "umdPropagate": True}, True),
    "another channel stated": (allowing("other"), True),
    "refused": ({"channels": {"*": {"umdUpdate": True}, "#regex:.": {"umdUpdate": False}}}, True),
    "refused, connection": ({"umdUpdate": False, "umdPropagate": True}, False),
}


@DOORS
@pytest.mark.parametrize(("claims", "named"), DENIED.values(), ids=DENIED)
async def test_the_token_itself_must_allow_it(
    server: Server, channel: str, door: str, claims: dict[str, Any], named: bool
) -> None:
    # What other tokens say of umdUpdate does not count.
    channels = room(channel, umdUpdate=True)
    async with subscribed(server, channel, uid="jim", umdUpdate=True, channels=channels) as jim:
        jwt = umd_token(server, **claims)
        meant = channel if named else None
        await refused(jim, door, "UMD_UPDATE_PERMISSION_DENIED", jwt, meant)
        assert await shown(jim, channel) is None


@DOORS
async def test_the_subscription_must_be_there(server: Server, channel: str, door: str) -> None:
    async with connect(server, uid="jim", channels=room(channel)) as jim:
        await refused(jim, door, "NOT_SUBSCRIBED", umd_token(server, **allowing(channel)), channel)


async def test_single_use_does_not_count(server: Server, channel: str) -> None:
    async with subscribed(server, channel, uid="jim") as jim:
        jwt = umd_token(server, singleUse=True, jti=secrets.token_hex(8), **allowing(channel))
        for door in ("socket", "http", "socket"):
            await update(jim, door, jwt, channel)

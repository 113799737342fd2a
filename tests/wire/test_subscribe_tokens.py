"""Subscribe tokens: whose they are, and both tokens together (protocol.md sections 5 and 7)."""

import time
from typing import Any

import pytest

from tests.support.connecting import connect
from tests.support.grants import room
from tests.support.servers import Server, token

SUBSCRIBE = "hotsock.subscribe"


OPEN = {"publish": True, "echo": True}


DENIED = "PUBLISH_PERMISSION_DENIED"


# --- whose they are -------------------------------------------------------------------------------


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


# --- both tokens' entries together ----------------------------------------------------------------


def subscribing(server: Server, channel: str, **claims: Any) -> str:
    return token(
        server, **{"scope": "subscribe", "uid": "jim", "channels": room(channel), **claims}
    )


async def test_a_subscribe_token_adds_to_the_connect_token(
    any_server: Server, channel: str
) -> None:
    ours = {channel: {"historyStart": 0, "messages": {"ours": {**OPEN, "store": 60}}}}
    theirs = {channel: {"subscribe": True, "messages": {"theirs": {**OPEN, "store": 60}}}}
    async with connect(any_server, uid="jim", channels=ours) as client:
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", channel)
        await client.subscribe(channel, subscribing(any_server, channel, channels=theirs))
        for event in ("ours", "theirs"):
            await client.publish(channel, event=event)
            await client.receive(event)
            body = {"channel": channel, "event": event}
            assert (await client.call("publishMessage", body)).status == 202
            await client.receive(event)
        assert len(await client.history(channel)) == 4


async def test_its_rights_end_with_its_subscription(any_server: Server, channel: str) -> None:
    async with connect(any_server, uid="jim") as client:
        await client.subscribe(channel, subscribing(any_server, channel))
        await client.publish(channel)
        await client.receive("chat")
        await client.unsubscribe(channel)
        await client.publish(channel)
        await client.error(DENIED, "chat", channel)


async def test_its_rights_are_of_its_subscription_alone(any_server: Server, channel: str) -> None:
    other = f"{channel}-other"
    jwt = subscribing(any_server, channel, channels=room(channel) | room(other))
    async with connect(any_server, uid="jim", channels={other: {"subscribe": True}}) as client:
        await client.subscribe(channel, jwt)
        await client.subscribe(other)
        await client.publish(other)
        await client.error(DENIED, "chat", other)


@pytest.mark.parametrize("says_no", ["connect", "subscribe"])
async def test_an_explicit_false_in_either_token_wins(
    any_server: Server, channel: str, says_no: str
) -> None:
    messages = {
        scope: {"chat": {"publish": scope != says_no}, "quiet": {"publish": True, "echo": True}}
        for scope in ("connect", "subscribe")
    }
    messages[says_no]["quiet"]["echo"] = False
    jwt = subscribing(any_server, channel, channels=room(channel, messages["subscribe"]))
    channels = room(channel, messages["connect"])
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.subscribe(channel, jwt)
        await client.publish(channel)
        await client.error(DENIED, "chat", channel)
        await client.publish(channel, event="quiet")
        await client.nothing()


@pytest.mark.parametrize("says_no", ["connect", "subscribe"])
async def test_an_explicit_false_for_subscribing_in_either_token_wins(
    any_server: Server, channel: str, says_no: str
) -> None:
    channels = {
        scope: {channel: {"subscribe": scope != says_no}} for scope in ("connect", "subscribe")
    }
    jwt = subscribing(any_server, channel, channels=channels["subscribe"])
    async with connect(any_server, uid="jim", channels=channels["connect"]) as client:
        data = {"token": jwt}
        await client.send({"event": "hotsock.subscribe", "channel": channel, "data": data})
        await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", channel)


async def test_at_equal_rank_the_subscribe_tokens_values_win(
    any_server: Server, channel: str
) -> None:
    ours = room(channel, {"chat": {"publish": True, "store": 0}}, historyStart=4_000_000_000)
    theirs = room(channel, {"chat": {"publish": True, "store": 60}}, historyStart=0)
    async with connect(any_server, uid="jim", channels=ours) as client:
        await client.subscribe(channel, subscribing(any_server, channel, channels=theirs))
        id = await client.store(channel)
        assert [message["id"] for message in await client.history(channel)] == [id]


async def test_a_more_specific_value_of_the_connect_token_wins(
    any_server: Server, channel: str
) -> None:
    ours = {channel: {"messages": {"*": {"store": 60}}}}
    theirs = {
        f"{channel}*": {"subscribe": True, "messages": {"chat": {"publish": True, "store": 0}}}
    }
    async with connect(any_server, uid="jim", channels=ours) as client:
        await client.subscribe(channel, subscribing(any_server, channel, channels=theirs))
        id = await client.store(channel)
        assert [message["id"] for message in await client.history(channel)] == [id]


async def test_its_uid_and_umd_take_precedence_for_its_subscription(
    any_server: Server, channel: str
) -> None:
    other = f"{channel}-other"
    channels = room(channel) | room(other)
    async with connect(any_server, uid="jim", umd=1, channels=channels) as client:
        claims = {"connectionId": client.id, "uid": "james", "umd": {"name": "James"}}
        james = {"uid": "james", "umd": {"name": "James"}}
        frame = await client.subscribe(channel, subscribing(any_server, channel, **claims))
        assert frame["meta"] == james
        await client.publish(channel)
        assert (await client.receive("chat"))["meta"] == james
        await client.store(channel)
        assert (await client.receive("chat"))["meta"] == james
        assert [message["meta"] for message in await client.history(channel)] == [james] * 2
        await client.subscribe(other)
        await client.publish(other)
        assert (await client.receive("chat"))["meta"] == {"uid": "jim", "umd": 1}


async def test_its_uid_reacts(any_server: Server, channel: str) -> None:
    async with connect(any_server, umd=1) as client:
        jwt = subscribing(any_server, channel, connectionId=client.id, uid="pam", umd=[2])
        await client.subscribe(channel, jwt)
        message = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, message)
        await client.nothing()
        assert await client.reactions(channel, message) == [
            {"reaction": "👍", "uid": "pam", "umd": [2]}
        ]


async def test_what_it_does_not_state_is_the_connections(any_server: Server, channel: str) -> None:
    async with connect(any_server, uid="jim", umd={"name": "Jim"}) as client:
        jwt = subscribing(any_server, channel, uid=None, connectionId=client.id)
        frame = await client.subscribe(channel, jwt)
        assert frame["meta"] == {"uid": "jim", "umd": {"name": "Jim"}}


@pytest.mark.parametrize("directive", ["broadcast", "autoSubscribe"])
async def test_broadcast_and_auto_subscribe_count_only_in_connect_tokens(
    any_server: Server, channel: str, directive: str
) -> None:
    granted = {
        "broadcast": {channel: {"subscribe": True, "messages": {"chat": {"broadcast": True}}}},
        "autoSubscribe": {channel: {"autoSubscribe": True}},
    }
    jwt = subscribing(any_server, channel, channels=granted[directive])
    async with connect(any_server, uid="jim") as client:
        await client.send(
            {"event": "hotsock.subscribe", "channel": channel, "data": {"token": jwt}}
        )
        if directive == "autoSubscribe":
            await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", channel)
        else:
            await client.receive("hotsock.subscribed")
            await client.publish(channel)
            await client.error(DENIED, "chat", channel)

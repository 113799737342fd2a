"""How permissions resolve, seen on the wire (protocol.md section 5)."""

from typing import Any

import pytest

from tests.servers import Server, token
from tests.wire.client import Client, connect
from tests.wire.grants import STORED, room

OPEN = {"publish": True, "echo": True}


# --- who may publish ----------------------------------------------------------------------------

DENIED = "PUBLISH_PERMISSION_DENIED"
PUBLISH_TABLE = [
    # publish, broadcast, subscribed, not subscribed (None: it may)
    (True, None, None, "NOT_SUBSCRIBED"),
    (True, False, None, "NOT_SUBSCRIBED"),
    (None, True, None, None),
    (True, True, None, None),
    (False, None, DENIED, DENIED),
    (False, False, DENIED, DENIED),
    (False, True, DENIED, DENIED),
    (None, None, DENIED, DENIED),
    (None, False, DENIED, DENIED),
]


@pytest.mark.parametrize("store", [0, 60])
@pytest.mark.parametrize(("publish", "broadcast", "subscribed", "unsubscribed"), PUBLISH_TABLE)
async def test_who_may_publish(
    any_server: Server,
    channel: str,
    publish: bool | None,
    broadcast: bool | None,
    subscribed: str | None,
    unsubscribed: str | None,
    store: int,
) -> None:
    stated = {"publish": publish, "broadcast": broadcast, "store": store}
    directives = {name: value for name, value in stated.items() if value is not None}
    async with (
        connect(any_server, channels=room(channel)) as listener,
        connect(any_server, channels=room(channel, {"news": directives})) as publisher,
    ):
        await listener.subscribe(channel)
        await tries_to_publish(publisher, listener, channel, unsubscribed)
        await publisher.subscribe(channel)
        await tries_to_publish(publisher, listener, channel, subscribed)


async def tries_to_publish(
    publisher: Client, listener: Client, channel: str, refusal: str | None
) -> None:
    """Over the socket and over HTTP; `refusal` is the code that both give, None: it works."""
    body = {"channel": channel, "event": "news", "data": "over HTTP"}
    await publisher.publish(channel, "over the socket", "news")
    if refusal is None:
        await publisher.nothing()
        assert (await publisher.call("publishMessage", body)).status == 202
        assert (await listener.receive("news"))["data"] == "over the socket"
        assert (await listener.receive("news"))["data"] == "over HTTP"
    else:
        await publisher.error(refusal, "news", channel)
        assert (await publisher.call("publishMessage", body)).refusal == (403, refusal)
        await listener.nothing()


# --- booleans: an explicit false wins -----------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("says_no", ["exact", "wildcard", "regex"])
async def test_an_explicit_false_wins_in_whatever_order(
    any_server: Server, channel: str, says_no: str, turned: bool
) -> None:
    keys = {"exact": channel, "wildcard": f"{channel[:8]}*", "regex": f"#regex:^{channel}$"}
    pairs = [
        (key, {"subscribe": kind != says_no, "messages": {"chat": {"broadcast": True}}})
        for kind, key in keys.items()
    ]
    async with connect(any_server, channels=dict(pairs[::-1] if turned else pairs)) as client:
        await client.send({"event": "hotsock.subscribe", "channel": channel})
        await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", channel)


@pytest.mark.parametrize("turned", [False, True])
async def test_an_explicit_false_for_an_event_wins_over_other_entries(
    any_server: Server, channel: str, turned: bool
) -> None:
    pairs = [
        (channel, {"subscribe": True, "messages": {"*": OPEN}}),
        (f"{channel}*", {"messages": {"chat": OPEN, "secret": {"publish": False}}}),
    ]
    async with connect(any_server, channels=dict(pairs[::-1] if turned else pairs)) as client:
        await client.subscribe(channel)
        await client.publish(channel, 1, "chat")
        await client.receive("chat")
        await client.publish(channel, 1, "secret")
        await client.error(DENIED, "secret", channel)


async def test_one_true_is_enough(any_server: Server, channel: str) -> None:
    channels = {
        channel: {"messages": {"chat": {"echo": True}}},
        f"{channel}*": {"messages": {"c*": {"publish": True}}},
        "#regex:^test-": {"subscribe": True},
    }
    async with connect(any_server, channels=channels) as client:
        await client.subscribe(channel)
        await client.publish(channel)
        await client.receive("chat")


async def test_a_wildcard_matches_any_run_of_characters(any_server: Server, channel: str) -> None:
    channels = {f"{channel}*end": {"subscribe": True}}
    async with connect(any_server, channels=channels) as client:
        for name in (f"{channel}end", f"{channel}-a.b/c-end"):
            await client.subscribe(name)
        for name in (channel, f"{channel}-ends", f"x{channel}end"):
            await client.send({"event": "hotsock.subscribe", "channel": name})
            await client.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", name)


# --- values: the most specific entry ------------------------------------------------------------


@pytest.mark.parametrize(
    ("wins", "others"),
    [
        ("{0}", ["{0}*", "*", "#regex:^{0}$"]),
        ("{0}*", ["test-*", "*", "#regex:^{0}$"]),
        ("test-*", ["*", "#regex:^{0}$"]),
    ],
)
async def test_values_come_from_the_most_specific_channel_entry(
    any_server: Server, channel: str, wins: str, others: list[str]
) -> None:
    """Of `store` and of `historyStart`: what wins keeps and shows messages, the others do not."""
    channels = {
        key.format(channel): {
            "subscribe": True,
            "historyStart": 4_000_000_000,
            "messages": {"chat": {"publish": True, "store": 0}},
        }
        for key in others
    }
    channels[wins.format(channel)] = {
        "historyStart": 0,
        "messages": {"*": {"publish": True, "store": 60}},
    }
    async with connect(any_server, channels=channels) as client:
        await client.subscribe(channel)
        id = await client.store(channel)
        assert [message["id"] for message in await client.history(channel)] == [id]


# --- reactions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "allowed", "refused"),
    [
        ([["a"], ["b"]], ["a", "b"], ["c"]),
        ([["a"], True], ["a", "c"], []),
        ([["a"], True, False], [], ["a", "c"]),
        ([["a"], None], ["a"], ["c"]),
        ([None, None], [], ["a"]),
        ([[]], [], ["a"]),
    ],
)
async def test_reactions_allowed_together(
    any_server: Server, channel: str, stated: list[Any], allowed: list[str], refused: list[str]
) -> None:
    keys = [channel, f"{channel}*", f"#regex:^{channel}"]
    channels = {
        key: {
            "subscribe": True,
            "messages": {"chat": {"publish": True, "store": 60, "react": react}},
        }
        for key, react in zip(keys, stated, strict=False)
    }
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.subscribe(channel)
        id = await client.store(channel)
        for reaction in allowed:
            await client.react(channel, id, reaction)
        for reaction in refused:
            await client.react(channel, id, reaction)
            await client.error("REACT_PERMISSION_DENIED", "hotsock.messageReaction", channel)
        await client.nothing()
        [message] = await client.history(channel)
        assert list(message.get("reactions", {})) == allowed


# --- aliases ------------------------------------------------------------------------------------


async def test_an_alias_may_be_used_wherever_a_channel_may(
    any_server: Server, channel: str
) -> None:
    alias = f"{channel}-alias"
    messages = {"chat": STORED, "hotsock.messageReaction": {"echo": True}}
    channels = room(channel, messages, alias=alias, historyStart=0)
    async with connect(any_server, uid="jim", channels=channels) as client:
        meta = {"uid": "jim", "umd": None, "channelAlias": alias}
        about = {"channel": channel, "data": {}, "meta": meta}
        assert await client.subscribe(alias) == {"event": "hotsock.subscribed", **about}
        await client.publish(alias, "hi")
        said = await client.receive("chat")
        assert (said["channel"], said["meta"]) == (channel, {"uid": "jim", "umd": None})
        await client.react(alias, said["id"])
        assert (await client.receive("hotsock.messageReactionAdded"))["channel"] == channel
        [message] = await client.history(alias)
        assert message["channel"] == channel
        reactions = {"channel": alias, "messageId": said["id"]}
        assert len((await client.call("listReactions", reactions)).json["reactions"]) == 1
        answered = await client.call("publishMessage", {"channel": alias, "event": "chat"})
        assert answered.json == {"channel": channel, "event": "chat"}
        await client.receive("chat")
        assert await client.unsubscribe(alias) == {"event": "hotsock.unsubscribed", **about}


async def test_the_real_name_works_beside_the_alias(any_server: Server, channel: str) -> None:
    channels = room(channel, alias=f"{channel}-alias")
    async with connect(any_server, channels=channels) as client:
        frame = await client.subscribe(channel)
        assert frame["meta"]["channelAlias"] == f"{channel}-alias"
        await client.publish(f"{channel}-alias")
        assert (await client.receive("chat"))["channel"] == channel
        await client.publish(channel)
        assert (await client.receive("chat"))["channel"] == channel


async def test_errors_carry_the_name_that_was_sent(any_server: Server, channel: str) -> None:
    alias = f"{channel}-alias"
    async with connect(any_server, channels=room(channel, alias=alias)) as client:
        await client.publish(alias)
        await client.error("NOT_SUBSCRIBED", "chat", alias)
        await client.publish(alias, event="unknown")
        await client.error(DENIED, "unknown", alias)
        await client.send({"event": "hotsock.unsubscribe", "channel": alias})
        await client.error("NOT_SUBSCRIBED", "hotsock.unsubscribe", alias)
        await client.subscribe(alias)
        await client.send({"event": "hotsock.subscribe", "channel": alias})
        await client.error("ALREADY_SUBSCRIBED", "hotsock.subscribe", channel)


async def test_a_channel_named_in_the_token_comes_before_an_alias(
    any_server: Server, channel: str
) -> None:
    """A subscribe token makes an alias of what the connect token has as a channel: the alias
    does not hide the channel."""
    other = f"{channel}-other"
    jwt = token(any_server, scope="subscribe", uid="jim", channels=room(other, alias=channel))
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        assert (await client.subscribe(other, jwt))["channel"] == other
        assert (await client.subscribe(channel))["channel"] == channel
        await client.publish(channel)
        assert (await client.receive("chat"))["channel"] == channel


async def test_a_subscribe_tokens_alias_works_while_its_subscription_lasts(
    any_server: Server, channel: str
) -> None:
    alias = f"{channel}-alias"
    jwt = token(any_server, scope="subscribe", uid="jim", channels=room(channel, alias=alias))
    async with connect(any_server, uid="jim") as client:
        frame = await client.subscribe(alias, jwt)
        assert (frame["channel"], frame["meta"]["channelAlias"]) == (channel, alias)
        await client.publish(alias)
        assert (await client.receive("chat"))["channel"] == channel
        assert (await client.history(alias))[0]["channel"] == channel
        await client.unsubscribe(alias)
        await client.publish(alias)
        await client.error(DENIED, "chat", alias)
        refused = await client.call("listMessages", {"channel": alias})
        assert refused.refusal == (403, "NOT_SUBSCRIBED")


async def test_a_subscribe_tokens_alias_goes_before_the_connect_tokens(
    any_server: Server, channel: str
) -> None:
    jwt = token(any_server, scope="subscribe", uid="jim", channels={channel: {"alias": "theirs"}})
    async with connect(any_server, uid="jim", channels=room(channel, alias="ours")) as client:
        assert (await client.subscribe(channel, jwt))["meta"]["channelAlias"] == "theirs"
        await client.publish("theirs")
        assert (await client.receive("chat"))["channel"] == channel


# --- subscribe tokens: both tokens' entries together --------------------------------------------


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


async def test_broadcasting_from_outside_carries_the_connections_meta(
    any_server: Server, channel: str
) -> None:
    messages = {"news": {"broadcast": True, "store": 60}}
    async with (
        connect(any_server, channels=room(channel, historyStart=0)) as listener,
        connect(any_server, uid="jim", umd=[1], channels={channel: {"messages": messages}}) as jim,
    ):
        await listener.subscribe(channel)
        await jim.publish(channel, "hi", "news")
        frame = await listener.receive("news")
        assert frame["meta"] == {"uid": "jim", "umd": [1]}
        assert await listener.history(channel) == [frame]

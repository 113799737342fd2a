"""How permissions resolve, seen on the wire (protocol.md section 5)."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server

OPEN = {"publish": True, "echo": True}


DENIED = "PUBLISH_PERMISSION_DENIED"


# --- who may publish ------------------------------------------------------------------------------


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
        subscribed(any_server, channel) as listener,
        connect(any_server, channels=room(channel, {"news": directives})) as publisher,
    ):
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


@pytest.mark.parametrize(
    ("subscribe", "code"), [(False, DENIED), (None, "NOT_SUBSCRIBED"), (True, "NOT_SUBSCRIBED")]
)
async def test_where_subscribing_would_not_help_it_is_no_matter_of_subscribing(
    any_server: Server, channel: str, subscribe: bool | None, code: str
) -> None:
    """Where nothing is stated, a subscribe token would (protocol.md section 8)."""
    async with connect(any_server, channels=room(channel, subscribe=subscribe)) as client:
        await client.publish(channel)
        await client.error(code, "chat", channel)
        body = {"channel": channel, "event": "chat"}
        assert (await client.call("publishMessage", body)).refusal == (403, code)


async def test_broadcasting_from_outside_carries_the_connections_meta(
    any_server: Server, channel: str
) -> None:
    messages = {"news": {"broadcast": True, "store": 60}}
    async with (
        subscribed(any_server, channel, channels=room(channel, historyStart=0)) as listener,
        connect(any_server, uid="jim", umd=[1], channels={channel: {"messages": messages}}) as jim,
    ):
        await jim.publish(channel, "hi", "news")
        frame = await listener.receive("news")
        assert frame["meta"] == {"uid": "jim", "umd": [1]}
        assert await listener.history(channel) == [frame]


# --- booleans: an explicit false wins -------------------------------------------------------------


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
    async with subscribed(
        any_server, channel, channels=dict(pairs[::-1] if turned else pairs)
    ) as client:
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
    async with subscribed(any_server, channel, channels=channels) as client:
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


# --- values: the most specific entry --------------------------------------------------------------


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
    async with subscribed(any_server, channel, channels=channels) as client:
        id = await client.store(channel)
        assert [message["id"] for message in await client.history(channel)] == [id]


# --- reactions ------------------------------------------------------------------------------------


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
    async with subscribed(any_server, channel, uid="jim", channels=channels) as client:
        id = await client.store(channel)
        for reaction in allowed:
            await client.react(channel, id, reaction)
        for reaction in refused:
            await client.react(channel, id, reaction)
            await client.error("REACT_PERMISSION_DENIED", "hotsock.messageReaction", channel)
        await client.nothing()
        [message] = await client.history(channel)
        assert list(message.get("reactions", {})) == allowed

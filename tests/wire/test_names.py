"""Names and reactions, each at its boundary and just beyond (protocol.md section 2)."""

import pytest

from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED
from tests.support.servers import Server

ANY_CHANNEL = {"*": {"subscribe": True, "historyStart": 0, "messages": {"*": STORED}}}


# --- channel names --------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", ["x", "é", "👍", "/", '"', "\\", "."])
async def test_a_channel_name_may_have_256_characters(
    any_server: Server, channel: str, filler: str
) -> None:
    name = channel + filler * (256 - len(channel))
    async with connect(any_server, channels=ANY_CHANNEL) as client:
        assert (await client.subscribe(name))["channel"] == name
        id = await client.store(name, 1)
        assert (await client.receive("chat"))["channel"] == name
        assert [message["id"] for message in await client.history(name)] == [id]


BAD_CHANNEL_NAMES = [
    "",
    "x" * 257,
    *(f"a{char}b" for char in ("*", "#", ",", " ", "\t", "\n", "\u00a0", "\u3000", "\u2028")),
    "#regex:x",
    "*",
]


@pytest.mark.parametrize("name", BAD_CHANNEL_NAMES, ids=ascii)
async def test_a_channel_name_that_is_none_is_refused(any_server: Server, name: str) -> None:
    reaction = {"messageId": "0" * 26, "reaction": "👍", "action": "add"}
    async with connect(any_server, uid="jim", channels=ANY_CHANNEL) as client:
        for event, data in {
            "hotsock.subscribe": None,
            "hotsock.unsubscribe": None,
            "hotsock.messageReaction": reaction,
            "chat": "hi",
        }.items():
            await client.send({"event": event, "channel": name, "data": data})
            await client.error("INVALID_CHANNEL_NAME", event, name)
        for operation, body in {
            "listMessages": {},
            "listReactions": {"messageId": "0" * 26},
            "publishMessage": {"event": "chat"},
        }.items():
            refused = await client.call(operation, {"channel": name, **body})
            assert refused.refusal == (400, "INVALID_CHANNEL_NAME")


async def test_a_name_keeps_its_code_points(any_server: Server, channel: str) -> None:
    """No Unicode normalisation: é as one character and as two are two channels."""
    one, two = f"{channel}-\u00e9", f"{channel}-e\u0301"
    async with connect(any_server, channels=ANY_CHANNEL) as client:
        assert (await client.subscribe(one))["channel"] == one
        assert (await client.subscribe(two))["channel"] == two
        await client.publish(two, one)
        frame = await client.receive("chat")
        assert (frame["channel"], frame["data"]) == (two, one)
        assert await client.history(one) == []


# --- event names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    ["x", "x" * 128, "👍" * 128, "with space", "a,b#c", "hotsock", "ho.hotsock.", " "],
    ids=ascii,
)
async def test_an_event_name_may_be(any_server: Server, channel: str, event: str) -> None:
    async with subscribed(any_server, channel, {"*": STORED}) as client:
        await client.publish(channel, 1, event)
        assert (await client.receive())["event"] == event


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("", "INVALID_EVENT_NAME"),
        ("x" * 129, "INVALID_EVENT_NAME"),
        ("#x", "INVALID_EVENT_NAME"),
        ("#regex:x", "INVALID_EVENT_NAME"),
        ("a*b", "INVALID_EVENT_NAME"),
        ("Hotsock.x", "INVALID_EVENT_NAME"),
        ("hot\u200bsock\u2024x", "INVALID_EVENT_NAME"),
        ("hotsock.", "UNKNOWN_EVENT"),
        ("hotsock.x", "UNKNOWN_EVENT"),
    ],
)
async def test_an_event_name_that_is_none_is_refused(
    any_server: Server, channel: str, event: str, code: str
) -> None:
    async with subscribed(any_server, channel, {"*": STORED}) as client:
        await client.publish(channel, 1, event)
        await client.error(code, event, channel)
        refused = await client.call("publishMessage", {"channel": channel, "event": event})
        assert refused.refusal == (400, code)
        assert await client.history(channel) == []


# --- reactions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reaction", ["👍", "x", "x" * 100, "👍" * 25, " x ", "❤️", '"'], ids=ascii)
async def test_a_reaction_may_be(any_server: Server, channel: str, reaction: str) -> None:
    messages = {"chat": STORED, "hotsock.messageReaction": {"echo": True}}
    async with subscribed(any_server, channel, messages, uid="jim") as client:
        id = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, id, reaction)
        frame = await client.receive("hotsock.messageReactionAdded")
        assert frame["data"]["reaction"] == reaction
        [message] = await client.history(channel)
        assert message["reactions"] == {reaction: {"count": 1}}


@pytest.mark.parametrize(
    "reaction", ["", " ", "\t\n", "\u3000", "#", "a#b", "x" * 101, "👍" * 25 + "x"], ids=ascii
)
async def test_a_reaction_that_is_none_is_refused(
    any_server: Server, channel: str, reaction: str
) -> None:
    async with subscribed(any_server, channel, uid="jim") as client:
        id = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, id, reaction)
        await client.error("INVALID_REACTION", "hotsock.messageReaction", channel)
        answered = await client.call("listReactions", {"channel": channel, "messageId": id})
        assert answered.json == {"reactions": []}

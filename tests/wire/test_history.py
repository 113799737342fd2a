"""Reading back: `connection/listMessages` (protocol.md sections 8 and 14)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.servers import Server
from tests.wire.client import Client, connect, eventually
from tests.wire.database import expire
from tests.wire.grants import STORED, room
from tests.wire.test_limits import milliseconds

NONE_YET = "0" * 26
AFTER_ALL = "7" + "Z" * 25


async def fill(client: Client, channel: str, count: int, event: str = "chat") -> list[str]:
    """Stores messages 0, 1, 2… over the socket and gives their ids."""
    for number in range(count):
        await client.publish(channel, number, event)
    return [(await client.receive(event))["id"] for _ in range(count)]


def ids_of(messages: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in messages]


# --- pages --------------------------------------------------------------------------------------


async def test_250_messages_are_three_pages_in_either_direction(
    every_server: Server, channel: str
) -> None:
    async with connect(every_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        sent = await fill(client, channel, 250)
        forward = await pages(client, channel, "after")
        backward = await pages(client, channel, "before", reverse=True)
    assert [len(page) for page in forward] == [len(page) for page in backward] == [100, 100, 50]
    messages = [message for page in forward for message in page]
    assert ids_of(messages) == sent
    assert [message["data"] for message in messages] == list(range(250))
    assert [message for page in backward for message in page] == messages[::-1]


async def pages(client: Client, channel: str, cursor: str, **body: Any) -> list[Any]:
    """All pages, each asked for by the last id of the one before; ends with a short one."""
    read = [await client.history(channel, **body)]
    while len(read[-1]) == 100:
        read.append(await client.history(channel, **{cursor: read[-1][-1]["id"]}, **body))
    return read


async def test_a_full_last_page_is_followed_by_an_empty_one(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        sent = await fill(client, channel, 100)
        assert ids_of(await client.history(channel)) == sent
        assert await client.history(channel, after=sent[-1]) == []
        assert await client.history(channel, before=sent[0], reverse=True) == []


CURSORS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3, 4]),
    ({"after": None, "before": None, "reverse": None, "expandReactions": None}, [0, 1, 2, 3, 4]),
    ({"after": ""}, [0, 1, 2, 3, 4]),
    ({"after": 1}, [2, 3, 4]),
    ({"after": 4}, []),
    ({"after": NONE_YET}, [0, 1, 2, 3, 4]),
    ({"after": AFTER_ALL}, []),
    ({"before": 1}, [0, 1, 2, 3, 4]),  # the wrong direction is ignored
    ({"after": 1, "before": 3}, [2, 3, 4]),
    ({"after": 1, "reverse": False}, [2, 3, 4]),
    ({"reverse": True}, [4, 3, 2, 1, 0]),
    ({"reverse": True, "before": 3}, [2, 1, 0]),
    ({"reverse": True, "before": 0}, []),
    ({"reverse": True, "before": AFTER_ALL}, [4, 3, 2, 1, 0]),
    ({"reverse": True, "before": NONE_YET}, []),
    ({"reverse": True, "after": 1}, [4, 3, 2, 1, 0]),  # ignored too
    ({"reverse": True, "after": 1, "before": 3}, [2, 1, 0]),
]


async def test_after_before_and_reverse(every_server: Server, channel: str) -> None:
    """The numbers stand for the ids of five messages; both cursors are exclusive."""
    async with connect(every_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        sent = await fill(client, channel, 5)
        for asked, expected in CURSORS:
            body = {
                name: sent[value] if type(value) is int else value for name, value in asked.items()
            }
            listed = [message["data"] for message in await client.history(channel, **body)]
            assert listed == expected, asked


async def test_a_cursor_may_be_of_another_channel(any_server: Server, channel: str) -> None:
    """An id is a place in time, whether or not it names a message here."""
    other = f"{channel}-other"
    async with connect(any_server, channels=room(channel) | room(other)) as client:
        await client.subscribe(channel)
        await client.subscribe(other)
        [first] = await fill(client, channel, 1)
        [between] = await fill(client, other, 1)
        while milliseconds(between) == milliseconds(first):
            [between] = await fill(client, other, 1)
        assert await client.history(channel, after=between) == []
        assert ids_of(await client.history(channel, before=between, reverse=True)) == [first]
        assert first not in ids_of(await client.history(other))


# --- the window ---------------------------------------------------------------------------------


@pytest.fixture
async def kept(every_server: Server, channel: str) -> AsyncIterator[list[str]]:
    """Ids of messages of at least two different milliseconds, stored before anyone asks."""
    async with connect(every_server, uid="jim", channels=room(channel)) as jim:
        await jim.subscribe(channel)
        ids = await fill(jim, channel, 5)
        while milliseconds(ids[-1]) == milliseconds(ids[0]):
            ids += await fill(jim, channel, 5)
        yield ids


async def test_history_start_0_is_everything(
    every_server: Server, channel: str, kept: list[str]
) -> None:
    async with connect(every_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        assert ids_of(await client.history(channel)) == kept
        assert ids_of(await client.history(channel, reverse=True)) == kept[::-1]
        assert ids_of(await client.history(channel, after=kept[1])) == kept[2:]


@pytest.mark.parametrize("off", [0, 0.001])
async def test_history_reaches_back_to_history_start_inclusive(
    every_server: Server, channel: str, kept: list[str], off: float
) -> None:
    """To the time of the last message; with `off` to just behind it."""
    start = milliseconds(kept[-1]) / 1000 + off
    inside = [id for id in kept if milliseconds(id) >= start * 1000 - 0.5]
    async with connect(every_server, channels=room(channel, historyStart=start)) as client:
        await client.subscribe(channel)
        assert ids_of(await client.history(channel)) == inside
        assert ids_of(await client.history(channel, reverse=True)) == inside[::-1]
        assert ids_of(await client.history(channel, after=kept[0])) == inside
        assert len(inside) < len(kept)
        assert bool(inside) is not bool(off)


async def test_without_history_start_it_reaches_back_to_the_subscribing(
    every_server: Server, channel: str, kept: list[str]
) -> None:
    async with connect(every_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        assert await client.history(channel) == []
        assert await client.history(channel, reverse=True) == []
        assert await client.history(channel, after=kept[0]) == []
        first = await fill(client, channel, 2)
        assert ids_of(await client.history(channel)) == first
        assert ids_of(await client.history(channel, reverse=True)) == first[::-1]
        await client.unsubscribe(channel)
        await client.subscribe(channel)
        assert await client.history(channel) == []
        second = await fill(client, channel, 1)
        assert ids_of(await client.history(channel)) == second


async def test_a_history_start_in_the_future_shows_nothing_yet(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels=room(channel, historyStart=4_000_000_000)) as client:
        await client.subscribe(channel)
        await fill(client, channel, 2)
        assert await client.history(channel) == []
        assert await client.history(channel, reverse=True) == []


# --- what is listed -----------------------------------------------------------------------------


async def test_a_message_is_listed_as_it_was_on_the_wire(
    every_server: Server, channel: str
) -> None:
    claims = {"uid": "jim", "umd": {"name": "Jim"}}
    async with connect(every_server, channels=room(channel), **claims) as client:
        await client.subscribe(channel)
        await client.publish(channel, {"b": 1, "a": [None]})
        frame = await client.receive("chat")
        answered = await client.call("listMessages", {"channel": channel})
        assert answered.text == f'{{"messages":[{frame.text}]}}'
        assert answered.headers["content-type"].startswith("application/json")


async def test_events_of_all_names_and_senders_are_listed(any_server: Server, channel: str) -> None:
    messages = {"*": {"publish": True, "store": -1}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(any_server, uid="jim", channels=channels) as jim,
        connect(any_server, channels=channels) as nobody,
    ):
        await jim.subscribe(channel)
        await nobody.subscribe(channel)
        await jim.store(channel, event="chat")
        await nobody.store(channel, event="hotsock")
        listed = await jim.history(channel)
        assert [(row["event"], row["meta"]["uid"]) for row in listed] == [
            *(("chat", "jim"), ("hotsock", None)),
        ]


async def test_a_message_expires(every_server: Server, channel: str) -> None:
    messages = {"brief": {**STORED, "store": 1}, "chat": STORED}
    async with connect(every_server, channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        await fill(client, channel, 1, "brief")
        lasting = await fill(client, channel, 1)

        async def alone() -> bool:
            return ids_of(await client.history(channel)) == lasting

        await eventually(alone)


async def test_expired_messages_are_invisible_before_they_are_purged(
    every_server: Server, channel: str
) -> None:
    """To listMessages, to listReactions and to reactions, while one that lasts stays."""
    messages = {"chat": {**STORED, "store": 3600}}
    async with connect(every_server, uid="jim", channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        (brief, lasting) = await fill(client, channel, 2)
        await client.react(channel, brief)
        await client.react(channel, lasting)
        await client.settle()
        assert ids_of(await client.history(channel)) == [brief, lasting]
        expire(every_server, brief)
        assert ids_of(await client.history(channel)) == [lasting]
        assert ids_of(await client.history(channel, reverse=True)) == [lasting]
        assert await client.history(channel, before=lasting, reverse=True) == []
        gone = await client.call("listReactions", {"channel": channel, "messageId": brief})
        assert gone.refusal == (404, "MESSAGE_NOT_FOUND")
        for action in ("add", "remove"):
            await client.react(channel, brief, action=action)
            await client.error("MESSAGE_NOT_FOUND", "hotsock.messageReaction", channel)
        kept = await client.call("listReactions", {"channel": channel, "messageId": lasting})
        assert kept.json == {"reactions": [{"reaction": "👍", "uid": "jim"}]}


# --- reactions beside the messages --------------------------------------------------------------


async def test_reactions_are_counted_and_with_expand_named(
    every_server: Server, channel: str
) -> None:
    """Only where there are any; expanded, in the order of reacting and without a null umd."""
    channels = room(channel, historyStart=0)
    async with (
        connect(every_server, uid="Jim", umd={"age": 1}, channels=channels) as jim,
        connect(every_server, uid="Pam", channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await fill(jim, channel, 2)
        (first, second) = ids_of(await jim.history(channel))
        for client, reaction in ((pam, "👍"), (jim, "❤️"), (jim, "👍")):
            await client.react(channel, first, reaction)
            await client.settle()
        plain, expanded = [
            [message.get("reactions") for message in await jim.history(channel, **body)]
            for body in ({}, {"expandReactions": True})
        ]
        assert plain == [{"👍": {"count": 2}, "❤️": {"count": 1}}, None]
        jims = {"uid": "Jim", "umd": {"age": 1}}
        assert expanded == [
            {
                "👍": {"count": 2, "items": [{"uid": "Pam"}, jims]},
                "❤️": {"count": 1, "items": [jims]},
            },
            {},
        ]
        for client, reaction in ((pam, "👍"), (jim, "❤️"), (jim, "👍")):
            await client.react(channel, first, reaction, "remove")
            await client.settle()
        assert "reactions" not in (await jim.history(channel))[0]
        [message] = await jim.history(channel, expandReactions=True, before=second, reverse=True)
        assert message["reactions"] == {}


# --- refusals -----------------------------------------------------------------------------------


async def test_it_needs_an_active_subscription(any_server: Server, channel: str) -> None:
    async with (
        connect(any_server, channels=room(channel, historyStart=0)) as jim,
        connect(any_server, channels=room(channel, historyStart=0)) as pam,
    ):
        await pam.subscribe(channel)
        for _ in range(2):
            refused = await jim.call("listMessages", {"channel": channel})
            assert refused.refusal == (403, "NOT_SUBSCRIBED")
            await jim.subscribe(channel)
            assert await jim.history(channel) == []
            await jim.unsubscribe(channel)


MALFORMED = {
    "nothing": "",
    "not JSON": "{",
    "no object": "[]",
    "not UTF-8": b'{"channel":"\xff"}',
    "channel is a number": '{"channel":1}',
    "after is no id": '{"channel":"CHANNEL","after":"yesterday"}',
    "after is a number": '{"channel":"CHANNEL","after":1}',
    "before is no id": '{"channel":"CHANNEL","before":"x","reverse":true}',
    "reverse is text": '{"channel":"CHANNEL","reverse":"true"}',
    "expandReactions is a number": '{"channel":"CHANNEL","expandReactions":1}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_body_is_refused(
    any_server: Server, channel: str, body: str | bytes
) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        sent = body if isinstance(body, bytes) else body.replace("CHANNEL", channel)
        refused = await client.call("listMessages", sent)
        assert refused.status == 400
        assert refused.code in ("INVALID_REQUEST", "INVALID_MESSAGE")
        assert refused.json["error"]["message"].endswith(".")

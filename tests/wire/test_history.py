"""Reading back: `connection/listMessages` (protocol.md sections 8 and 14)."""

from typing import Any

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server
from tests.support.ulids import GREATEST, LEAST, milliseconds


def ids_of(messages: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in messages]


# --- pages ----------------------------------------------------------------------------------------


async def test_250_messages_are_three_pages_in_either_direction(
    every_server: Server, channel: str
) -> None:
    async with subscribed(every_server, channel, uid="jim") as client:
        sent = await client.fill(channel, 250)
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
    async with subscribed(any_server, channel) as client:
        sent = await client.fill(channel, 100)
        assert ids_of(await client.history(channel)) == sent
        assert await client.history(channel, after=sent[-1]) == []
        assert await client.history(channel, before=sent[0], reverse=True) == []


async def test_a_page_of_history_is_never_cut_short_by_size(
    any_server: Server, channel: str
) -> None:
    """100 messages of 32 KiB, and one more that is on the next page."""
    data = "x" * (32 * 1024 - 2)
    messages = {"chat": {"publish": True, "store": -1}}
    async with subscribed(any_server, channel, messages) as client:
        for _ in range(101):
            await client.publish(channel, data)
        await client.settle()
        page = await client.history(channel)
        assert len(page) == 100
        assert all(message["data"] == data for message in page)
        assert len(await client.history(channel, after=page[-1]["id"])) == 1


CURSORS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3, 4]),
    ({"after": None, "before": None, "reverse": None, "expandReactions": None}, [0, 1, 2, 3, 4]),
    ({"after": ""}, [0, 1, 2, 3, 4]),
    ({"after": 1}, [2, 3, 4]),
    ({"after": 4}, []),
    ({"after": LEAST}, [0, 1, 2, 3, 4]),
    ({"after": GREATEST}, []),
    ({"before": 1}, [0, 1, 2, 3, 4]),  # the wrong direction is ignored
    ({"after": 1, "before": 3}, [2, 3, 4]),
    ({"after": 1, "reverse": False}, [2, 3, 4]),
    ({"reverse": True}, [4, 3, 2, 1, 0]),
    ({"reverse": True, "before": 3}, [2, 1, 0]),
    ({"reverse": True, "before": 0}, []),
    ({"reverse": True, "before": GREATEST}, [4, 3, 2, 1, 0]),
    ({"reverse": True, "before": LEAST}, []),
    ({"reverse": True, "after": 1}, [4, 3, 2, 1, 0]),  # ignored too
    ({"reverse": True, "after": 1, "before": 3}, [2, 1, 0]),
    ({"limit": None}, [0, 1, 2, 3, 4]),
]


async def test_after_before_and_reverse(every_server: Server, channel: str) -> None:
    """The numbers stand for the ids of five messages; both cursors are exclusive."""
    async with subscribed(every_server, channel) as client:
        sent = await client.fill(channel, 5)
        for asked, expected in CURSORS:
            body = {
                name: sent[value] if type(value) is int else value for name, value in asked.items()
            }
            listed = [message["data"] for message in await client.history(channel, **body)]
            assert listed == expected, asked


async def test_a_page_may_have_a_limit(every_server: Server, channel: str) -> None:
    """From 1 to 100, in either direction; any other is refused with a sentence that names it."""
    async with subscribed(every_server, channel) as client:
        sent = await client.fill(channel, 5)
        for limit in (1, 2, 4, 5, 6, 100):
            assert ids_of(await client.history(channel, limit=limit)) == sent[:limit]
            backward = await client.history(channel, reverse=True, before=sent[4], limit=limit)
            assert ids_of(backward) == sent[3::-1][:limit]
            assert (
                ids_of(await client.history(channel, after=sent[0], limit=limit))
                == (sent[1:][:limit])
            )
        for limit in (0, -1, 101, 2**64, 1.0, "1", True, []):
            refused = await client.call("listMessages", {"channel": channel, "limit": limit})
            assert refused.refusal == (400, "INVALID_MESSAGE")
            assert "limit" in refused.json["error"]["message"]


async def test_a_cursor_may_be_of_another_channel(any_server: Server, channel: str) -> None:
    """An id is a place in time, whether or not it names a message here."""
    other = f"{channel}-other"
    async with subscribed(any_server, channel, channels=room(channel) | room(other)) as client:
        await client.subscribe(other)
        [first] = await client.fill(channel, 1)
        [between] = await client.fill(other, 1)
        while milliseconds(between) == milliseconds(first):
            [between] = await client.fill(other, 1)
        assert await client.history(channel, after=between) == []
        assert ids_of(await client.history(channel, before=between, reverse=True)) == [first]
        assert first not in ids_of(await client.history(other))


# --- what is listed -------------------------------------------------------------------------------


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
        subscribed(any_server, channel, uid="jim", channels=channels) as jim,
        subscribed(any_server, channel, channels=channels) as nobody,
    ):
        await jim.store(channel, event="chat")
        await nobody.store(channel, event="hotsock")
        listed = await jim.history(channel)
        assert [(row["event"], row["meta"]["uid"]) for row in listed] == [
            *(("chat", "jim"), ("hotsock", None)),
        ]


async def test_reactions_are_counted_and_with_expand_named(
    every_server: Server, channel: str
) -> None:
    """Only where there are any; expanded, in the order of reacting and without a null umd."""
    channels = room(channel, historyStart=0)
    async with (
        subscribed(every_server, channel, uid="Jim", umd={"age": 1}, channels=channels) as jim,
        subscribed(every_server, channel, uid="Pam", channels=channels) as pam,
    ):
        await jim.fill(channel, 2)
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


# --- refusals -------------------------------------------------------------------------------------


async def test_it_needs_an_active_subscription(any_server: Server, channel: str) -> None:
    async with (
        connect(any_server, channels=room(channel, historyStart=0)) as jim,
        subscribed(any_server, channel, channels=room(channel, historyStart=0)),
    ):
        for _ in range(2):
            refused = await jim.call("listMessages", {"channel": channel})
            assert refused.refusal == (403, "NOT_SUBSCRIBED")
            await jim.subscribe(channel)
            assert await jim.history(channel) == []
            await jim.unsubscribe(channel)

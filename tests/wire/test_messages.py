"""Publishing over the WebSocket (protocol.md sections 7 and 8)."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from tests.servers import Server
from tests.wire.client import Client, connect
from tests.wire.grants import room

KINDS = {
    "stored": {"publish": True, "store": -1},
    "not stored": {"publish": True},
}
kinds = pytest.mark.parametrize("directives", KINDS.values(), ids=KINDS)


@kinds
async def test_a_message_on_the_wire(
    every_server: Server, channel: str, directives: dict[str, Any]
) -> None:
    channels = room(channel, {"chat": directives})
    async with (
        connect(every_server, uid="jim", umd={"a": 1}, channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await jim.publish(channel, {"text": "hi"})
        frame = await pam.receive()
        id = frame.pop("id")
        assert len(id) == 26
        assert frame == {
            "event": "chat",
            "channel": channel,
            "data": {"text": "hi"},
            "meta": {"uid": "jim", "umd": {"a": 1}},
        }
        await jim.nothing()


@kinds
@pytest.mark.parametrize("data", ["", ',"data":null'])
async def test_data_is_always_there(
    any_server: Server, channel: str, directives: dict[str, Any], data: str
) -> None:
    channels = room(channel, {"chat": {**directives, "echo": True}}, historyStart=0)
    async with connect(any_server, channels=channels) as client:
        await client.subscribe(channel)
        await client.send(f'{{"event":"chat","channel":"{channel}"{data}}}')
        frame = await client.receive("chat")
        assert frame.keys() == {"id", "event", "channel", "data", "meta"}
        assert frame["data"] is None
        assert frame["meta"] == {"uid": None, "umd": None}
        stored = [frame] if directives.get("store") else []
        assert await client.history(channel) == stored


# --- echo ---------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("echo", [True, False, None])
async def test_the_senders_own_connection_gets_a_copy_only_with_echo(
    any_server: Server, channel: str, directives: dict[str, Any], echo: bool | None
) -> None:
    """Other connections of the same uid always do."""
    stated = directives if echo is None else {**directives, "echo": echo}
    channels = room(channel, {"chat": stated})
    async with (
        connect(any_server, uid="jim", channels=channels) as jim,
        connect(any_server, uid="jim", channels=channels) as same,
        connect(any_server, uid="pam", channels=channels) as pam,
    ):
        for client in (jim, same, pam):
            await client.subscribe(channel)
        await jim.publish(channel, "hi")
        if echo:
            await jim.receive("chat")
        await jim.nothing()
        for client in (same, pam):
            assert (await client.receive("chat"))["data"] == "hi"
            await client.nothing()


@kinds
async def test_nobody_outside_the_channel_gets_it(
    any_server: Server, channel: str, directives: dict[str, Any]
) -> None:
    channels = room(channel, {"chat": directives}) | room(f"{channel}-other")
    async with (
        connect(any_server, channels=channels) as jim,
        connect(any_server, channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(f"{channel}-other")
        await jim.publish(channel)
        await pam.nothing(jim)


async def test_a_refused_message_reaches_nobody(any_server: Server, channel: str) -> None:
    messages = {"chat": {"publish": False, "echo": True, "store": -1, "broadcast": True}}
    async with (
        connect(any_server, channels=room(channel, messages)) as jim,
        connect(any_server, channels=room(channel, historyStart=0)) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await jim.publish(channel)
        await jim.error("PUBLISH_PERMISSION_DENIED", "chat", channel)
        await jim.nothing()
        await pam.nothing()
        assert await pam.history(channel) == []


# --- not stored ---------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [{}, {"store": 0}])
async def test_what_is_not_stored_is_not_in_history(
    every_server: Server, channel: str, store: dict[str, int]
) -> None:
    messages = {"chat": {"publish": True, "store": -1}, "typing": {"publish": True, **store}}
    async with (
        connect(every_server, channels=room(channel, messages, historyStart=0)) as jim,
        connect(every_server, channels=room(channel)) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        for event in ("typing", "chat", "typing"):
            await jim.publish(channel, event=event)
        for event in ("typing", "chat", "typing"):
            await pam.receive(event)
        assert [message["event"] for message in await jim.history(channel)] == ["chat"]


# --- order --------------------------------------------------------------------------------------


async def test_all_see_one_order_which_is_historys(every_server: Server, channel: str) -> None:
    """Three publishers at once, 200 stored messages each with one that is not stored behind every
    fourth, and three subscribers."""
    count = 200
    messages = {"chat": {"publish": True, "store": -1}, "typing": {"publish": True}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(every_server, uid="a", channels=channels) as a,
        connect(every_server, uid="b", channels=channels) as b,
        connect(every_server, uid="c", channels=channels) as c,
        connect(every_server, channels=channels) as one,
        connect(every_server, channels=channels) as two,
        connect(every_server, channels=channels) as three,
    ):
        publishers, subscribers = (a, b, c), (one, two, three)
        for client in publishers + subscribers:
            await client.subscribe(channel)

        async def publish(client: Client) -> None:
            for number in range(count):
                await client.publish(channel, number)
                if number % 4 == 3:
                    await client.publish(channel, number, "typing")

        async def record(client: Client) -> list[Any]:
            return [await client.receive() for _ in range(3 * count * 5 // 4)]

        recorded = [asyncio.create_task(record(client)) for client in subscribers]
        await asyncio.gather(*(publish(client) for client in publishers))
        seen = await asyncio.gather(*recorded)
        for client in subscribers:
            await client.nothing()
        history = await whole_history(one, channel)

    assert Counter(frame["meta"]["uid"] for frame in history) == {
        "a": count,
        "b": count,
        "c": count,
    }
    ids = [frame["id"] for frame in history]
    assert ids == sorted(set(ids))
    for frames in seen:
        assert [frame for frame in frames if frame["event"] == "chat"] == history
        for uid in "abc":
            own = [
                (frame["data"], frame["event"]) for frame in frames if frame["meta"]["uid"] == uid
            ]
            assert own == expected_of_one(count)


def expected_of_one(count: int) -> list[tuple[int, str]]:
    return [
        (number, event)
        for number in range(count)
        for event in (("chat", "typing") if number % 4 == 3 else ("chat",))
    ]


async def whole_history(client: Client, channel: str) -> list[dict[str, Any]]:
    """Page by page, as clients do: until one is shorter than 100."""
    page = messages = await client.history(channel)
    while len(page) == 100:
        page = await client.history(channel, after=page[-1]["id"])
        messages = messages + page
    return messages


async def test_live_and_history_together_are_gapless(every_server: Server, channel: str) -> None:
    """Who subscribes in the middle of a stream and merges history by id misses nothing and has
    nothing twice on the wire."""
    count = 300
    channels = room(channel, {"chat": {"publish": True, "store": -1}}, historyStart=0)
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        begun = asyncio.Event()

        async def stream() -> None:
            for number in range(count):
                await jim.publish(channel, number)
                if number % 10 == 0:
                    await jim.settle()
                if number == 100:
                    begun.set()
            await jim.settle()

        async def join() -> list[dict[str, Any]]:
            await begun.wait()
            await pam.subscribe(channel)
            return await whole_history(pam, channel)

        streaming = asyncio.create_task(stream())
        history = await join()
        await streaming
        live = await pam.drain()

    numbers = [frame["data"] for frame in live]
    assert numbers == list(range(numbers[0], count))
    merged = {frame["id"]: frame["data"] for frame in [*history, *live]}
    assert [merged[id] for id in sorted(merged)] == list(range(count))
    assert [frame["id"] for frame in live] == sorted({frame["id"] for frame in live})
    known = {frame["id"]: frame for frame in history}
    assert all(known.get(frame["id"], frame) == frame for frame in live)


# --- exactness ----------------------------------------------------------------------------------

EXACT = {
    "a large integer": "18446744073709551616",
    "a larger one": "1" + "0" * 400,
    "a decimal's zeros": "1.10",
    "an exponent": "[1e2,1E+2,-0,-0.0,1e-400,1.7976931348623159e309]",
    "the order of keys": '{"b":1,"a":2,"":3}',
    "a key twice": '{"a":1,"a":2}',
    "emoji": '"👍🏽 👨‍👩‍👧 ❤️ ❤"',
    "escapes": r'"\u00e9\n\t\"\\\/\b\f\r\ud83d\udc4d é \u2028"',
    "no normalisation": '"\u00e9 e\u0301 \ufb01 \u212b"',
    "invisible characters": '"\u200b\u2028\u2029\ufeff\x7f\u202e"',
    "an escaped backslash before u0000": r'"\\u0000"',
    "deep": "[" * 100 + "]" * 100,
    "deep objects": '{"a":' * 99 + "{}" + "}" * 99,
    "exactly 32 KiB": '"' + "x" * (32 * 1024 - 2) + '"',
    "literals": "[true,false,null]",
    "an empty string": '""',
    "false": "false",
    "zero": "0",
    "text that looks like SQL and HTML": '"\'; DROP TABLE chat_message; -- <b>%s {} \\u0027"',
}


@pytest.mark.parametrize("data", EXACT.values(), ids=EXACT)
async def test_data_arrives_exactly_as_it_was_sent(
    every_server: Server, channel: str, data: str
) -> None:
    """The very text: live, from the sender's own copy, over HTTP and in history."""
    messages = {"chat": {"publish": True, "echo": True, "store": -1}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await jim.send(f'{{"event":"chat","channel":"{channel}","data":{data}}}')
        frame = await pam.receive("chat")
        assert f'"data":{data},' in frame.text
        assert (await jim.receive("chat")).text == frame.text
        answered = await jim.call("listMessages", {"channel": channel})
        assert answered.text == f'{{"messages":[{frame.text}]}}'
        await jim.call("publishMessage", f'{{"channel":"{channel}","event":"chat","data":{data}}}')
        assert f'"data":{data},' in (await pam.receive("chat")).text


EXACT_UMD = {
    "order and emoji": {"b": "👍", "a": ["é", "e\u0301"], "": None},
    "numbers": [1, 2**53, 0.5],
    "text": 'it\'s "quoted" \\ \u2028',
    "false": False,
}


@pytest.mark.parametrize("umd", EXACT_UMD.values(), ids=EXACT_UMD)
async def test_uid_and_umd_keep_their_order_and_characters(
    every_server: Server, channel: str, umd: Any
) -> None:
    uid = 'jím "\\ 👍 \u2028'
    channels = room(channel, historyStart=0)
    async with connect(every_server, uid=uid, umd=umd, channels=channels) as client:
        text = json.dumps({"uid": uid, "umd": umd})
        assert json.dumps((await client.subscribe(channel))["meta"]) == text
        await client.publish(channel)
        assert json.dumps((await client.receive("chat"))["meta"]) == text
        [message] = await client.history(channel)
        assert json.dumps(message["meta"]) == text


# --- malformed frames ---------------------------------------------------------------------------

MALFORMED = {
    "not JSON": "hello",
    "nothing": "",
    "an array": "[]",
    "text": '"hotsock.ping"',
    "null": "null",
    "two values": '{"event":"hotsock.ping"} {}',
    "without event": '{"channel":"c"}',
    "event null": '{"event":null,"channel":"c"}',
    "event a number": '{"event":1}',
    "binary": b'{"event":"hotsock.ping"}',
}


@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_frame_is_told_and_the_connection_goes_on(
    any_server: Server, frame: str | bytes
) -> None:
    async with connect(any_server) as client:
        await client.send(frame)
        refused = await client.receive("hotsock.error")
        assert refused["error"]["code"] == "INVALID_MESSAGE"
        assert "event" not in refused["error"]
        await client.nothing()


WRONG_FIELDS = [
    ("chat", '"channel":1', "INVALID_MESSAGE"),
    ("chat", '"channel":["c"]', "INVALID_MESSAGE"),
    ("chat", '"data":1', "INVALID_CHANNEL_NAME"),
    ("chat", '"channel":null', "INVALID_CHANNEL_NAME"),
    ("hotsock.subscribe", '"data":{}', "INVALID_CHANNEL_NAME"),
    ("hotsock.subscribe", '"channel":"c","data":"token"', "INVALID_MESSAGE"),
    ("hotsock.subscribe", '"channel":"c","data":{"token":1}', "INVALID_MESSAGE"),
    ("hotsock.unsubscribe", '"channel":{}', "INVALID_MESSAGE"),
    ("hotsock.messageReaction", '"channel":"c"', "INVALID_MESSAGE"),
    ("hotsock.messageReaction", '"channel":"c","data":[]', "INVALID_MESSAGE"),
    ("hotsock.connected", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.subscribed", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.error", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.messageReactionAdded", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.memberAdded", '"channel":"c"', "UNKNOWN_EVENT"),
    ("hotsock.keepAlive", '"channel":"c"', "UNKNOWN_EVENT"),
]


@pytest.mark.parametrize(("event", "fields", "code"), WRONG_FIELDS)
async def test_a_frame_with_a_wrong_field_is_told(
    any_server: Server, event: str, fields: str, code: str
) -> None:
    channels = {"*": {"subscribe": True, "messages": {"*": {"publish": True}}}}
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.send(f'{{"event":"{event}",{fields}}}')
        refused = await client.receive("hotsock.error")
        assert refused["error"]["code"] == code
        assert refused["error"]["event"] == event
        await client.nothing()

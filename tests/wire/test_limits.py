"""Names and limits, each at its boundary and just beyond (protocol.md section 2)."""

import asyncio
import json
import re
import time
from typing import Any

import pytest

from tests.servers import Server, token
from tests.wire.client import Client, Refused, compact, connect, eventually, open_client
from tests.wire.grants import STORED, room
from tests.wire.kinds import close_code, handshake_status, longest_token

KIB = 1024
FRAME_BYTES = 128 * KIB
ANY_CHANNEL = {"*": {"subscribe": True, "historyStart": 0, "messages": {"*": STORED}}}
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds(id: str) -> int:
    """The creation time in the first 10 characters of a ULID."""
    number = 0
    for digit in id[:10]:
        number = number * 32 + DIGITS.index(digit)
    return number


# --- channel names ------------------------------------------------------------------------------


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


# --- event names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    ["x", "x" * 128, "👍" * 128, "with space", "a,b#c", "hotsock", "Hotsock.x", "ho.hotsock.", " "],
    ids=ascii,
)
async def test_an_event_name_may_be(any_server: Server, channel: str, event: str) -> None:
    async with connect(any_server, channels=room(channel, {"*": STORED})) as client:
        await client.subscribe(channel)
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
        ("hotsock.", "UNKNOWN_EVENT"),
        ("hotsock.x", "UNKNOWN_EVENT"),
    ],
)
async def test_an_event_name_that_is_none_is_refused(
    any_server: Server, channel: str, event: str, code: str
) -> None:
    async with connect(any_server, channels=room(channel, {"*": STORED})) as client:
        await client.subscribe(channel)
        await client.publish(channel, 1, event)
        await client.error(code, event, channel)
        refused = await client.call("publishMessage", {"channel": channel, "event": event})
        assert refused.refusal == (400, code)
        assert await client.history(channel) == []


# --- data ---------------------------------------------------------------------------------------


def text_of(bytes_: int, unit: str = "x") -> str:
    """JSON text of a string that takes so many bytes of UTF-8, its quotes among them."""
    size = len(unit.encode())
    full, rest = divmod(bytes_ - 2, size)
    return f'"{unit * full}{"x" * rest}"'


ALLOWED_DATA = {
    "string": text_of(32 * KIB),
    "emoji": text_of(32 * KIB, "👍"),
    "array": "[" + "1," * (16 * KIB - 2) + "11]",
    "spaces do not count": '{ "a" :' + " " * 20_000 + text_of(32 * KIB - 6) + " }",
    "an escape counts as its character": '"' + "\\u00e9" * (16 * KIB - 1) + '"',
}
TOO_LARGE_DATA = {
    "string": text_of(32 * KIB + 1),
    "emoji": text_of(32 * KIB + 1, "👍"),
    "array": "[" + "1," * (16 * KIB - 2) + "111]",
    "an escape that is needed": '"' + "\\n" * (16 * KIB) + '"',
}


@pytest.mark.parametrize("data", ALLOWED_DATA.values(), ids=ALLOWED_DATA)
async def test_data_may_take_32_kib(every_server: Server, channel: str, data: str) -> None:
    async with connect(every_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":{data}}}'
        await client.send(frame)
        assert (await client.receive("chat"))["data"] == json.loads(data)
        answered = await client.call("publishMessage", frame)
        assert answered.status == 202
        stored = await client.history(channel)
        assert [message["data"] for message in stored] == [json.loads(data)] * 2


@pytest.mark.parametrize("data", TOO_LARGE_DATA.values(), ids=TOO_LARGE_DATA)
async def test_more_than_32_kib_of_data_is_refused(
    any_server: Server, channel: str, data: str
) -> None:
    async with connect(any_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":{data}}}'
        await client.send(frame)
        await client.error("DATA_TOO_LARGE", "chat", channel)
        assert (await client.call("publishMessage", frame)).refusal == (413, "DATA_TOO_LARGE")
        assert await client.history(channel) == []


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


async def test_100_levels_are_accepted_and_more_may_be_refused(
    any_server: Server, channel: str
) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        for levels in (99, 100):
            for data in (nested(levels), nested(levels).replace("[]", "{}")):
                await client.send(f'{{"event":"chat","channel":"{channel}","data":{data}}}')
                assert compact((await client.receive("chat"))["data"]) == data
        await client.send(f'{{"event":"chat","channel":"{channel}","data":{nested(101)}}}')
        await client.error("INVALID_MESSAGE", "chat", channel)


NOT_JSON = {
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "lone surrogate": '"\\ud83d"',
    "lone surrogate in a name": '{"\\udc4d":1}',
    "NUL": '"a\\u0000b"',
    "NUL in a name": '{"\\u0000":1}',
    "control character": '"a\x01b"',
    "trailing comma": "[1,]",
    "leading zero": "01",
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json_is_refused_never_half_stored(
    any_server: Server, channel: str, data: str
) -> None:
    async with connect(any_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":{data}}}'
        await client.send(frame)
        refused = await client.receive("hotsock.error")
        assert refused["error"]["code"] == "INVALID_MESSAGE"
        assert (await client.call("publishMessage", frame)).refusal == (400, "INVALID_MESSAGE")
        assert await client.history(channel) == []
        await client.publish(channel, "still here")
        await client.receive("chat")


# --- whole frames -------------------------------------------------------------------------------


def padded(frame: str, bytes_: int) -> str:
    return frame[:-1] + " " * (bytes_ - len(frame.encode())) + "}"


@pytest.mark.parametrize("unit", ["x", "👍"], ids=ascii)
async def test_a_frame_may_take_128_kib(any_server: Server, channel: str, unit: str) -> None:
    data = text_of(32 * KIB, unit)
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":{data}}}'
        await client.send(padded(frame, FRAME_BYTES))
        assert (await client.receive("chat"))["data"] == json.loads(data)


@pytest.mark.parametrize("unit", ["x", "👍"], ids=ascii)
async def test_a_larger_frame_closes_with_1009(any_server: Server, channel: str, unit: str) -> None:
    async with connect(any_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":{text_of(32 * KIB, unit)}}}'
        await client.publish(channel, "before")
        await client.send(padded(frame, FRAME_BYTES + 1))
        code, _ = await client.closed()
        assert code == close_code(any_server, 1009)

    async def stored() -> list[Any]:
        return [message["data"] for message in await client.history(channel)]

    async with connect(any_server, channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        assert await eventually(stored) == ["before"]


async def test_a_body_may_take_128_kib_and_no_more(any_server: Server, channel: str) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        frame = f'{{"event":"chat","channel":"{channel}","data":1}}'
        assert (await client.call("publishMessage", padded(frame, FRAME_BYTES))).status == 202
        refused = await client.call("publishMessage", padded(frame, FRAME_BYTES + 1))
        assert refused.refusal == (413, "DATA_TOO_LARGE")


# --- tokens' own limits -------------------------------------------------------------------------


def umd_of(bytes_: int) -> dict[str, str]:
    return {"é": "x" * (bytes_ - len(compact({"é": ""}).encode()))}


ALLOWED_CLAIMS: dict[str, dict[str, Any]] = {
    "uid of 128": {"uid": "u" * 128},
    "uid of 128 emoji": {"uid": "👍" * 128},
    "umd of 1 KiB": {"umd": umd_of(KIB)},
    "umd of any JSON": {"umd": [1, "two", {"three": None}, 1.5, True]},
}
REFUSED_CLAIMS: dict[str, dict[str, Any]] = {
    "uid of 129": {"uid": "u" * 129},
    "umd over 1 KiB": {"umd": umd_of(KIB + 1)},
    "a channel name of 257 as alias": {"channels": {"c": {"alias": "x" * 257}}},
}


@pytest.mark.parametrize("claims", ALLOWED_CLAIMS.values(), ids=ALLOWED_CLAIMS)
async def test_a_token_may_carry(any_server: Server, channel: str, claims: dict[str, Any]) -> None:
    async with connect(any_server, channels=room(channel), **claims) as client:
        meta = {"uid": None, "umd": None, **claims}
        assert client.connected["meta"] == meta
        await client.subscribe(channel)
        await client.publish(channel, 1)
        assert (await client.receive("chat"))["meta"] == meta


@pytest.mark.parametrize("claims", REFUSED_CLAIMS.values(), ids=REFUSED_CLAIMS)
async def test_a_token_may_not_carry(any_server: Server, claims: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        async with connect(any_server, **claims):
            pass
    assert refused.value.status == handshake_status(any_server, 401)


@pytest.mark.parametrize("store", [-1, 60, 3_155_695_200])
async def test_a_message_may_be_stored_for(any_server: Server, channel: str, store: int) -> None:
    messages = {"chat": {"publish": True, "store": store}}
    async with connect(any_server, channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        id = await client.store(channel, 1)
        assert [message["id"] for message in await client.history(channel)] == [id]


@pytest.mark.parametrize("store", [-2, 3_155_695_201, 1.5, "60", True])
async def test_a_message_may_not_be_stored_for(
    any_server: Server, channel: str, store: Any
) -> None:
    messages = {"chat": {"publish": True, "store": store}}
    with pytest.raises(Refused) as refused:
        async with connect(any_server, channels=room(channel, messages)):
            pass
    assert refused.value.status == handshake_status(any_server, 401)


def token_of(server: Server, length: int) -> str:
    """A good token of so many bytes; Base64 leaves out some lengths, `jti` and `iss` find all."""
    for extra in range(4):
        known = {"jti": "x" * extra, "umd": None}
        short = len(token(server, **known, iss=""))
        for filler in range(max(0, (length - short) * 3 // 4 - 4), length):
            made = token(server, **known, iss="i" * filler)
            if len(made) == length:
                return made
            if len(made) > length:
                break
    raise AssertionError(f"no token has {length} bytes")


async def test_a_token_may_take_64_kib(any_server: Server) -> None:
    client = await open_client(any_server, token_of(any_server, longest_token(any_server)))
    await client.nothing()
    await client.aclose()


async def test_a_longer_token_is_refused(server: Server) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(server, token_of(server, 64 * KIB + 1))
    assert refused.value.status == 401


# --- reactions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reaction", ["👍", "x", "x" * 100, "👍" * 25, " x ", "❤️", '"'], ids=ascii)
async def test_a_reaction_may_be(any_server: Server, channel: str, reaction: str) -> None:
    messages = {"chat": STORED, "hotsock.messageReaction": {"echo": True}}
    async with connect(any_server, uid="jim", channels=room(channel, messages)) as client:
        await client.subscribe(channel)
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
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        id = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, id, reaction)
        await client.error("INVALID_REACTION", "hotsock.messageReaction", channel)
        answered = await client.call("listReactions", {"channel": channel, "messageId": id})
        assert answered.json == {"reactions": []}


# --- history pages and ids ----------------------------------------------------------------------


async def test_a_page_of_history_is_never_cut_short_by_size(
    any_server: Server, channel: str
) -> None:
    """100 messages of 32 KiB, and one more that is on the next page."""
    data = "x" * (32 * KIB - 2)
    messages = {"chat": {"publish": True, "store": -1}}
    async with connect(any_server, channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        for _ in range(101):
            await client.publish(channel, data)
        await client.settle()
        page = await client.history(channel)
        assert len(page) == 100
        assert all(message["data"] == data for message in page)
        assert len(await client.history(channel, after=page[-1]["id"])) == 1


async def test_ids_are_ulids_of_their_time(any_server: Server, channel: str) -> None:
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        before = int(time.time() * 1000)
        id = await client.store(channel)
        await client.call("publishMessage", {"channel": channel, "event": "typing"})
        after = int(time.time() * 1000)
        assert (await client.receive("chat"))["id"] == id
        assert ULID.fullmatch(id)
        assert before <= milliseconds(id) <= after


async def test_messages_that_are_not_stored_have_ids_of_their_own(
    any_server: Server, channel: str
) -> None:
    messages = {"typing": {"publish": True, "echo": True}}
    async with connect(any_server, channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        for _ in range(20):
            await client.publish(channel, event="typing")
        ids = {(await client.receive("typing"))["id"] for _ in range(20)}
        assert len(ids) == 20
        assert all(ULID.fullmatch(id) for id in ids)


async def test_ids_increase_strictly_also_within_a_millisecond(
    any_server: Server, channel: str
) -> None:
    async def publisher(client: Client) -> None:
        for number in range(50):
            await client.publish(channel, number)
        await client.settle()

    async with (
        connect(any_server, channels=room(channel, historyStart=0)) as first,
        connect(any_server, channels=room(channel, historyStart=0)) as second,
    ):
        await first.subscribe(channel)
        await second.subscribe(channel)
        await asyncio.gather(publisher(first), publisher(second))
        ids = [message["id"] for message in await first.history(channel)]
        assert len(ids) == 100
        assert ids == sorted(set(ids))

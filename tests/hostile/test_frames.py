"""Frames that no honest client sends: each is refused in a sentence, and the connection chats on
(protocol.md sections 2, 7 and 17)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.hostile.forging import forge
from tests.support.calls import compact
from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.grants import room
from tests.support.kinds import close_code
from tests.support.servers import Server, token

KIB = 1024


@pytest.fixture
async def jim(attacked: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber who attacks."""
    async with connect(attacked, uid="jim", channels=room(channel, historyStart=0)) as client:
        await client.subscribe(channel)
        yield client


@pytest.fixture
async def pam(attacked: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber who should not notice."""
    async with connect(attacked, uid="pam", channels=room(channel)) as client:
        await client.subscribe(channel)
        yield client


async def refused(client: Client) -> str:
    """The code with which the next frame says that something was refused."""
    frame = await client.receive("hotsock.error")
    assert frame["error"]["message"].endswith(".")
    code: str = frame["error"]["code"]
    return code


async def still_chats(client: Client, channel: str) -> None:
    await client.publish(channel, "still here")
    assert (await client.receive("chat"))["data"] == "still here"


def deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


def chat(channel: str, data: str, more: str = "") -> str:
    return f'{{"event":"chat","channel":"{channel}","data":{data}{more}}}'


REFUSED = {
    "nothing": "",
    "spaces": "   ",
    "a word": "chat",
    "a number": "1",
    "a string": '"chat"',
    "null": "null",
    "an array": "[]",
    "an empty object": "{}",
    "half an object": '{"event":"chat"',
    "two objects": '{"event":"hotsock.ping"}{"event":"hotsock.ping"}',
    "a byte order mark": '\ufeff{"event":"hotsock.ping"}',
    "a comment": '{"event":"hotsock.ping"/**/}',
    "single quotes": "{'event':'hotsock.ping'}",
    "a trailing comma": '{"event":"hotsock.ping",}',
    "NaN": chat("c", "NaN"),
    "Infinity": chat("c", "[1,Infinity]"),
    "-Infinity": chat("c", '{"a":-Infinity}'),
    "NaN in an unknown field": chat("c", "1", ',"x":NaN'),
    "a leading zero": chat("c", "007"),
    "hexadecimal": chat("c", "0x10"),
    "a lone high surrogate": chat("c", r'"\ud83d"'),
    "a lone low surrogate": chat("c", r'"\ude00"'),
    "surrogates the wrong way round": chat("c", r'"\ude00\ud83d"'),
    "half a pair, then a letter": chat("c", r'"\ud83d\u0041"'),
    "a lone surrogate as a name": chat("c", r'{"\ud83d":1}'),
    "a lone surrogate in an unknown field": chat("c", "1", r',"x":"\ud83d"'),
    "a lone surrogate in the channel": r'{"event":"chat","channel":"\ud83d"}',
    "a lone surrogate in the event": r'{"event":"\ud83d","channel":"c"}',
    "NUL as it is": chat("c", '"a\0b"'),
    "NUL in the data": chat("c", r'"a\u0000b"'),
    "NUL as a name": chat("c", r'{"\u0000":1}'),
    "NUL deep inside": chat("c", r'[[{"a":[{"b":"\u0000"}]}]]'),
    "NUL after a backslash": chat("c", r'"\\\u0000"'),
    "NUL in the event": r'{"event":"a\u0000","channel":"c"}',
    "NUL in the channel": r'{"event":"chat","channel":"c\u0000"}',
    "NUL in the key": r'{"event":"chat","channel":"c","key":"\u0000"}',
    "NUL in an unknown field": chat("c", "1", r',"x":"\u0000"'),
    "NUL in a token": r'{"event":"hotsock.subscribe","channel":"c","data":{"token":"\u0000"}}',
    "a control character": chat("c", '"\x01"'),
    "a line break in a string": chat("c", '"a\nb"'),
    "101 levels": chat("c", deep(101)),
    "10,000 levels of arrays": chat("c", deep(10_000)),
    "10,000 levels of objects": chat("c", deep(10_000, '{"a":', "}").replace(":}", ":1}", 1)),
    "10,000 levels never closed": chat("c", "[" * 10_000),
    "10,000 levels in a token": (
        f'{{"event":"hotsock.subscribe","channel":"c","data":{{"token":{deep(10_000)}}}}}'
    ),
    "60,000 levels in an unknown field": chat("c", "1", f',"x":{deep(60_000)}'),
    "60,000 levels instead of a channel": f'{{"event":"chat","channel":{deep(60_000)}}}',
    "60,000 levels alone": deep(60_000),
}


@pytest.mark.parametrize("frame", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_frame_is_refused(
    jim: Client, pam: Client, channel: str, frame: str
) -> None:
    await jim.send(frame.replace('"c"', f'"{channel}"'))
    assert await refused(jim) in ("INVALID_MESSAGE", "INVALID_CHANNEL_NAME")
    await jim.nothing()
    await pam.nothing()
    assert await jim.history(channel) == []
    await still_chats(jim, channel)


async def test_10_000_levels_in_an_unknown_field_change_nothing(jim: Client, channel: str) -> None:
    """Unknown fields are ignored, or the frame is refused; the server survives."""
    for levels in (101, 5000, 10_000, 20_000):
        await jim.send(chat(channel, '"hi"', f',"x":{deep(levels)}'))
        frame = await jim.receive()
        assert frame["event"] in ("chat", "hotsock.error")
    await still_chats(jim, channel)


@pytest.mark.parametrize(
    "number",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "9" * 20_000,
        "1e999",
        "-1E-99999",
        "0." + "0" * 20_000 + "1",
        "1e" + "9" * 20_000,
    ],
    ids=lambda number: number[:12],
)
async def test_a_huge_number_stays_as_it_is(jim: Client, channel: str, number: str) -> None:
    await jim.send(chat(channel, f"[{number}]"))
    text = await jim.socket.recv()
    assert f'"data":[{number}]' in text
    answered = await jim.call("listReactions", {"channel": channel, "messageId": text[7:33]})
    assert answered.json == {"reactions": []}


# --- frames of the WebSocket protocol ------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"\x00", b'{"event":"hotsock.ping"}', b"\xff" * 60_000])
async def test_binary_frames_are_refused(jim: Client, channel: str, payload: bytes) -> None:
    await jim.send(payload)
    assert await refused(jim) == "INVALID_MESSAGE"
    await still_chats(jim, channel)


@pytest.mark.parametrize("pieces", [2, 7, 60])
async def test_a_frame_may_come_in_pieces(jim: Client, channel: str, pieces: int) -> None:
    text = chat(channel, '"grüße, 👍"').encode()
    size = len(text) // pieces + 1
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    await jim.socket.send(iter([*parts, b"", b""]), text=True)
    assert (await jim.receive("chat"))["data"] == "grüße, 👍"


async def test_a_frame_of_ten_thousand_empty_pieces_is_one_frame(jim: Client, channel: str) -> None:
    text = chat(channel, '"hi"').encode()
    await jim.socket.send(iter([text[:9], *[b""] * 10_000, text[9:]]), text=True)
    assert (await jim.receive("chat"))["data"] == "hi"
    await still_chats(jim, channel)


async def test_pings_between_pieces_are_answered(jim: Client, channel: str) -> None:
    text = chat(channel, '"hi"').encode()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(text), 8):
            await (await jim.socket.ping())
            yield text[at : at + 8]

    await jim.socket.send(pieces(), text=True)
    assert (await jim.receive("chat"))["data"] == "hi"


# Whatever breaks the WebSocket protocol itself, autobahn, below daphne, answers with a reset.


@pytest.mark.parametrize("text", [b"\xff", b'{"event":"\xc3\x28"}', b"\xed\xa0\x80", b"\xc0\x80"])
async def test_text_that_is_not_utf8_ends_the_connection(
    jim: Client, pam: Client, channel: str, text: bytes
) -> None:
    await jim.socket.send(text, text=True)
    assert (await jim.closed())[0] == (1007 if jim.server.kind == "uvicorn" else 1006)
    await still_chats(pam, channel)


async def test_a_piece_may_end_within_a_character(jim: Client, channel: str) -> None:
    text = chat(channel, '"👍"').encode()
    await jim.socket.send((text[at : at + 1] for at in range(len(text))), text=True)
    assert (await jim.receive("chat"))["data"] == "👍"


def masked(first: int, second: int, payload: bytes = b"") -> bytes:
    """A frame with these first two bytes, under a mask that changes nothing."""
    return bytes([first, second]) + b"\0\0\0\0" + payload


VIOLATIONS = {
    "not masked": b"\x81\x02hi",
    "a reserved bit": masked(0xC1, 0x82, b"hi"),
    "a reserved opcode": masked(0x83, 0x82, b"hi"),
    "a continuation of nothing": masked(0x80, 0x82, b"hi"),
    "text within text": masked(0x01, 0x82, b"hi") + masked(0x81, 0x82, b"hi"),
    "a ping in pieces": masked(0x09, 0x80),
    "a long ping": bytes([0x89, 0xFE, 0, 126]) + b"\0\0\0\0" + b"x" * 126,
    "a close of one byte": masked(0x88, 0x81, b"\x03"),
    "a close with a code that is none": masked(0x88, 0x82, (999).to_bytes(2, "big")),
    "a close with a reason that is not UTF-8": masked(0x88, 0x83, b"\x03\xe8\xff"),
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_what_breaks_the_websocket_protocol_ends_the_connection(
    jim: Client, pam: Client, channel: str, violation: bytes
) -> None:
    jim.socket.transport.write(violation)
    assert (await jim.closed())[0] in ((1002, 1007) if jim.server.kind == "uvicorn" else (1006,))
    await still_chats(pam, channel)


# --- larger than a frame may be ------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["one", "pieces", "binary", "not JSON", "wide characters"])
async def test_a_frame_of_200_kib_ends_the_connection(
    jim: Client, pam: Client, channel: str, shape: str
) -> None:
    text = chat(channel, f'"{"x" * 200 * KIB}"')
    match shape:
        case "one":
            await jim.send(text)
        case "pieces":
            pieces = [text.encode()[at : at + 50 * KIB] for at in range(0, len(text), 50 * KIB)]
            await jim.socket.send(pieces, text=True)
        case "binary":
            await jim.send(text.encode())
        case "not JSON":
            await jim.send("x" * 200 * KIB)
        case "wide characters":
            await jim.send(chat(channel, f'"{"👍" * 50 * KIB}"'))
    assert (await jim.closed())[0] == close_code(jim.server, 1009)
    await pam.nothing()
    await still_chats(pam, channel)


async def test_a_header_that_promises_too_much_is_enough(
    attacked_serve: Server, channel: str
) -> None:
    """Nobody waits for 2 to the 62 bytes."""
    async with connect(attacked_serve, channels=room(channel)) as client:
        client.socket.transport.write(b"\x81\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0")
        assert (await client.closed())[0] == 1009


# --- every field of every frame with every wrong type ---------------------------------------------

MESSAGE = "01HF7YAT00ABCDEFGHJKMNPQRS"
VALID: dict[str, dict[str, Any]] = {
    "chat": {"channel": "c", "data": None, "key": None},
    "hotsock.subscribe": {"channel": "c", "data": {"token": None}},
    "hotsock.unsubscribe": {"channel": "c"},
    "hotsock.ping": {},
    "hotsock.pong": {},
    "hotsock.heartbeat": {},
    "hotsock.messageReaction": {
        "channel": "c",
        "data": {"messageId": MESSAGE, "reaction": "👍", "action": "add"},
    },
}
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "a large number": 10**40,
    "a string": "x",
    "an empty string": "",
    "a long string": "x" * 1000,
    "an array": [],
    "an array of strings": ["x"],
    "an object": {},
    "an object with what is expected": {"channel": "c", "token": "x", "reaction": "x"},
}
TEXT = {"a string", "an empty string", "a long string"}
OBJECTS = {"an object", "an object with what is expected"}
# What the field may be without being of a wrong type; whether it is valid then is another matter.
FIELDS: dict[str, set[str]] = {
    "event": TEXT,
    "channel": TEXT | {"null"},
    "key": TEXT | {"null"},
    "scheduleExpression": TEXT | {"null"},
    "scheduleExpressionTimezone": TEXT | {"null"},
}
DATA_FIELDS: dict[str, dict[str, set[str]]] = {
    "hotsock.subscribe": {"": OBJECTS | {"null"}, "token": TEXT | {"null"}},
    "hotsock.messageReaction": {"": OBJECTS, "messageId": TEXT, "reaction": TEXT, "action": TEXT},
}


def frames_with(event: str, channel: str, field: str, allowed: set[str]) -> list[str]:
    """This frame, its field with each value of a wrong type."""
    found = []
    for name, value in VALUES.items():
        if name not in allowed:
            frame: dict[str, Any] = {"event": event, **VALID[event], "channel": channel}
            if field.startswith("data."):
                frame["data"] = {**frame["data"], field.removeprefix("data."): value}
            else:
                frame[field] = value
            found.append(compact(frame))
    return found


WRONG = [
    *((event, field, allowed) for event in VALID for field, allowed in FIELDS.items()),
    *(
        (event, f"data.{field}".rstrip("."), allowed)
        for event, fields in DATA_FIELDS.items()
        for field, allowed in fields.items()
    ),
]


@pytest.mark.parametrize(
    ("event", "field", "allowed"), WRONG, ids=[f"{event} {field}" for event, field, _ in WRONG]
)
async def test_a_field_of_a_wrong_type_is_refused(
    jim: Client, pam: Client, channel: str, event: str, field: str, allowed: set[str]
) -> None:
    for frame in frames_with(event, channel, field, allowed):
        await jim.send(frame)
        assert await refused(jim) == "INVALID_MESSAGE", frame
    await jim.nothing()
    await pam.nothing()
    await still_chats(jim, channel)


@pytest.mark.parametrize("event", VALID)
async def test_data_may_be_any_json_where_it_is_the_clients(
    jim: Client, channel: str, event: str
) -> None:
    """A ping is a ping whatever its data; a message's data is any JSON."""
    for value in VALUES.values():
        if event in DATA_FIELDS or event == "hotsock.unsubscribe":
            break
        await jim.send({"event": event, "channel": channel, "data": value})
        if event == "chat":
            assert (await jim.receive("chat"))["data"] == value
        elif event == "hotsock.ping":
            await jim.receive("hotsock.pong")
    await jim.nothing()
    await still_chats(jim, channel)


# --- subscribe tokens ----------------------------------------------------------------------------

TOKENS = {
    "empty": "",
    "words": "not a token",
    "three empty parts": "..",
    "not Base64": "!.!.!",
    "no ASCII": "é.é.é",
    "a header that is an array": "W10.W10.W10",
    "a header of 10,000 levels": "W1tb" * 10_000 + ".e30.e30",
    "64 KiB and one": "x" * (64 * KIB + 1),
    "100 KiB of dots": "." * 100 * KIB,
    "100 KiB of a JWT": f"{'eyJ' * 17 * KIB}.{'e' * 30 * KIB}.{'x' * 17 * KIB}",
}


@pytest.mark.parametrize("text", TOKENS.values(), ids=TOKENS)
async def test_what_is_no_token_subscribes_to_nothing(jim: Client, channel: str, text: str) -> None:
    data = {"token": text}
    await jim.send({"event": "hotsock.subscribe", "channel": f"{channel}-2", "data": data})
    await jim.error("INVALID_SUBSCRIBE_TOKEN", "hotsock.subscribe", f"{channel}-2")
    await still_chats(jim, channel)


UMDS = {
    "10,000 levels": deep(10_000),
    "NaN": "NaN",
    "a lone surrogate": r'"\ud800"',
    "NUL": r'"\u0000"',
    "more than 1 KiB": f'"{"x" * KIB}"',
}


@pytest.mark.parametrize("umd", UMDS.values(), ids=UMDS)
async def test_a_token_whose_umd_nobody_can_keep_is_refused(
    jim: Client, channel: str, umd: str
) -> None:
    text = signed(jim.server, channel, umd)
    data = {"token": text}
    await jim.send({"event": "hotsock.subscribe", "channel": f"{channel}-2", "data": data})
    await jim.error("INVALID_SUBSCRIBE_TOKEN", "hotsock.subscribe", f"{channel}-2")
    await still_chats(jim, channel)


def signed(server: Server, channel: str, umd: str) -> str:
    """A subscribe token, rightly signed, with this JSON text as its umd."""
    plain = token(server, scope="subscribe", uid="jim", channels=room(f"{channel}-2"), umd="UMD")
    return forge(server, plain, '"UMD"', umd)

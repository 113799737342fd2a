"""Frames that no honest client sends: each is refused in a sentence, and the connection chats on
(protocol.md sections 2, 7 and 17)."""

from collections.abc import AsyncIterator

import pytest

from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import Server

KIB = 1024


@pytest.fixture
async def jim(attacked: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber who attacks."""
    async with subscribed(
        attacked, channel, uid="jim", channels=room(channel, historyStart=0)
    ) as client:
        yield client


@pytest.fixture
async def pam(attacked: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber who should not notice."""
    async with subscribed(attacked, channel, uid="pam") as client:
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


async def test_what_is_no_frame_is_refused(jim: Client, pam: Client, channel: str) -> None:
    for name, frame in REFUSED.items():
        await jim.send(frame.replace('"c"', f'"{channel}"'))
        assert await refused(jim) in ("INVALID_MESSAGE", "INVALID_CHANNEL_NAME"), name
        await still_chats(jim, channel)
        assert (await pam.receive())["data"] == "still here", name
    assert {message["data"] for message in await jim.whole_history(channel)} == {"still here"}
    await jim.nothing()
    await pam.nothing()


async def test_10_000_levels_in_an_unknown_field_change_nothing(jim: Client, channel: str) -> None:
    """Unknown fields are ignored, or the frame is refused; the server survives."""
    for levels in (101, 5000, 10_000, 20_000):
        await jim.send(chat(channel, '"hi"', f',"x":{deep(levels)}'))
        frame = await jim.receive()
        assert frame["event"] in ("chat", "hotsock.error")
    await still_chats(jim, channel)


# --- frames of the WebSocket protocol ------------------------------------------------------------


async def test_binary_frames_are_refused(jim: Client, channel: str) -> None:
    for payload in (b"", b"\x00", b'{"event":"hotsock.ping"}', b"\xff" * 60_000):
        await jim.send(payload)
        await jim.error("INVALID_MESSAGE", None, None)
        await still_chats(jim, channel)


async def test_a_frame_of_ten_thousand_empty_pieces_is_one_frame(jim: Client, channel: str) -> None:
    text = chat(channel, '"hi"').encode()
    await jim.socket.send(iter([text[:9], *[b""] * 10_000, text[9:]]), text=True)
    assert (await jim.receive("chat"))["data"] == "hi"
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


async def test_what_is_no_token_subscribes_to_nothing(jim: Client, channel: str) -> None:
    for text in TOKENS.values():
        data = {"token": text}
        await jim.send({"event": "hotsock.subscribe", "channel": f"{channel}-2", "data": data})
        await jim.error("INVALID_SUBSCRIBE_TOKEN", "hotsock.subscribe", f"{channel}-2")
        await still_chats(jim, channel)

"""Limits, each at its boundary and just beyond (protocol.md sections 2 and 3)."""

import json
from typing import Any

import pytest

from tests.support.calls import compact
from tests.support.client import eventually
from tests.support.connecting import Refused, connect, open_client, subscribed
from tests.support.grants import room
from tests.support.kinds import close_code, handshake_status, longest_token
from tests.support.servers import Server, token

KIB = 1024


FRAME_BYTES = 128 * KIB


# --- data -----------------------------------------------------------------------------------------


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
    async with subscribed(every_server, channel, channels=room(channel, historyStart=0)) as client:
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
    async with subscribed(any_server, channel, channels=room(channel, historyStart=0)) as client:
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
    async with subscribed(any_server, channel) as client:
        for levels in (99, 100):
            for data in (nested(levels), nested(levels).replace("[]", "{}")):
                await client.send(f'{{"event":"chat","channel":"{channel}","data":{data}}}')
                assert compact((await client.receive("chat"))["data"]) == data
        await client.send(f'{{"event":"chat","channel":"{channel}","data":{nested(101)}}}')
        await client.error("INVALID_MESSAGE", "chat", channel)


# --- whole frames ---------------------------------------------------------------------------------


def padded(frame: str, bytes_: int) -> str:
    return frame[:-1] + " " * (bytes_ - len(frame.encode())) + "}"


@pytest.mark.parametrize("unit", ["x", "👍"], ids=ascii)
async def test_a_frame_may_take_128_kib(any_server: Server, channel: str, unit: str) -> None:
    data = text_of(32 * KIB, unit)
    async with subscribed(any_server, channel) as client:
        frame = f'{{"event":"chat","channel":"{channel}","data":{data}}}'
        await client.send(padded(frame, FRAME_BYTES))
        assert (await client.receive("chat"))["data"] == json.loads(data)


@pytest.mark.parametrize("unit", ["x", "👍"], ids=ascii)
async def test_a_larger_frame_closes_with_1009(any_server: Server, channel: str, unit: str) -> None:
    async with subscribed(any_server, channel, channels=room(channel, historyStart=0)) as client:
        frame = f'{{"event":"chat","channel":"{channel}","data":{text_of(32 * KIB, unit)}}}'
        await client.publish(channel, "before")
        await client.send(padded(frame, FRAME_BYTES + 1))
        code, _ = await client.closed()
        assert code == close_code(any_server, 1009)

    async def stored() -> list[Any]:
        return [message["data"] for message in await client.history(channel)]

    async with subscribed(any_server, channel, channels=room(channel, historyStart=0)) as client:
        assert await eventually(stored) == ["before"]


async def test_fragments_are_one_frame(any_server: Server, channel: str) -> None:
    """Together they may take as much as one, cut anywhere, within a character too."""
    async with subscribed(any_server, channel) as client:
        frame = f'{{"event":"chat","channel":"{channel}","data":{text_of(32 * KIB, "👍")}}}'
        whole = padded(frame, FRAME_BYTES).encode()
        await client.socket.send(
            (whole[at : at + 4097] for at in range(0, len(whole), 4097)), text=True
        )
        assert len((await client.receive("chat"))["data"]) == 8 * KIB - 1 + 2
        await client.socket.send([" " * KIB] * 129)
        assert (await client.closed())[0] == close_code(any_server, 1009)


async def test_a_body_may_take_128_kib_and_no_more(any_server: Server, channel: str) -> None:
    async with subscribed(any_server, channel) as client:
        frame = f'{{"event":"chat","channel":"{channel}","data":1}}'
        assert (await client.call("publishMessage", padded(frame, FRAME_BYTES))).status == 202
        refused = await client.call("publishMessage", padded(frame, FRAME_BYTES + 1))
        assert refused.refusal == (413, "DATA_TOO_LARGE")


# --- tokens ---------------------------------------------------------------------------------------


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
    async with subscribed(any_server, channel, messages) as client:
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

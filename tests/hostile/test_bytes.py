"""Frames however TCP cuts and joins them: each is handled once and in its order, and what breaks
the WebSocket protocol breaks nothing before it (design.md section 4)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import compact
from tests.support.client import eventually
from tests.support.connecting import subscribed
from tests.support.grants import CHAT, room
from tests.support.raw import BINARY, CLOSE, FIN, PING, PONG, Raw, asked, frame, length, raw
from tests.support.servers import WAY, Server
from tests.support.stored import rows, rows_of, writes_blocked

KIB = 1024
LARGEST = 128 * KIB
MAX_WAITING = 64  # chat.connections.frame_loop
ECHOED = {"publish": True, "echo": True}
MESSAGES = {**CHAT, "echoed": ECHOED, "also": ECHOED}  # these two are not stored
PINGED = {"event": "hotsock.ping"}


@pytest.fixture
async def jim(attacked_uvicorn: Server, channel: str) -> AsyncIterator[Raw]:
    async with raw(attacked_uvicorn, uid="jim", channels=room(channel, MESSAGES)) as opened:
        await opened.subscribe(channel)
        yield opened


@pytest.fixture
async def pam(attacked_uvicorn: Server) -> AsyncIterator[Raw]:
    """Whose round trips show that the server has read what others sent before."""
    async with raw(attacked_uvicorn, uid="pam") as opened:
        yield opened


def echoed(channel: str, data: Any, event: str = "echoed") -> bytes:
    return frame({"event": event, "channel": channel, "data": data})


def stored(channel: str, data: Any) -> bytes:
    return echoed(channel, data, "chat")


async def comes_back(jim: Raw, *data: Any) -> None:
    assert [(await jim.receive())["data"] for _ in data] == [*data]


def stored_in(server: Server, channel: str) -> list[str]:
    found = rows(
        server,
        "SELECT data FROM chat_message JOIN chat_channel ON chat_channel.id = channel_id "
        "WHERE name = ? ORDER BY chat_message.id",
        channel,
    )
    return [str(data) for (data,) in found]


async def gone(server: Server, connection: Raw) -> bool:
    return await asyncio.to_thread(rows_of, server, connection.id) == 0


# --- cut and joined ------------------------------------------------------------------------------


async def test_a_byte_at_a_time(jim: Raw, pam: Raw, channel: str) -> None:
    for byte in echoed(channel, "grüße"):
        jim.send(bytes([byte]))
        await pam.pong()
    await comes_back(jim, "grüße")


async def test_many_in_one_segment(jim: Raw, channel: str) -> None:
    jim.send(*(echoed(channel, number) for number in range(500)))
    await comes_back(jim, *range(500))


async def test_whatever_is_in_one_segment_has_its_order(jim: Raw, pam: Raw, channel: str) -> None:
    """Messages that are passed on together, and what ends each row of them."""
    large = "x" * 9000
    breaks: list[tuple[bytes, list[str]]] = [
        (echoed(channel, 0, "also"), ["also"]),
        (frame(PINGED), ["hotsock.pong"]),
        (frame({"event": "denied", "channel": channel}), ["PUBLISH_PERMISSION_DENIED"]),
        (frame("{"), ["INVALID_MESSAGE"]),
        (frame(b"binary", BINARY), ["INVALID_MESSAGE"]),
        (echoed(channel, "x" * 40_000), ["DATA_TOO_LARGE"]),
        (stored(channel, 0), ["chat"]),
        (stored(channel, 1) + stored(channel, 2), ["chat", "chat"]),
    ]
    for broken, answers in breaks:
        row = [echoed(channel, number) for number in range(5)]
        jim.send(*row, echoed(channel, large), echoed(channel, large), broken, *row)
        kinds = ["echoed"] * 7 + answers + ["echoed"] * 5
        got = [await jim.receive() for _ in kinds]
        assert [f.get("error", {}).get("code") or f["event"] for f in got] == kinds
        said = [f["data"] for f in got if f["event"] == "echoed"]
        assert said == [*range(5), large, large, *range(5)]
        ids = [f["id"] for f in got if f["event"] == "echoed"]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("size", "header"), [(100, 6), (4000, 8), (70_000, 14)])
async def test_a_segment_may_end_anywhere(
    jim: Raw, pam: Raw, channel: str, size: int, header: int
) -> None:
    """Within the first bytes, the length, the mask or the payload, with a whole frame before."""
    text = compact({"event": "echoed", "channel": channel, "data": "cut"}).ljust(size)
    sent = frame(text)
    for cut in range(1, header + 2):
        jim.send(echoed(channel, cut), sent[:cut])
        await pam.pong()
        jim.send(sent[cut:], echoed(channel, "next"))
        await comes_back(jim, cut, "cut", "next")


async def test_a_segment_may_end_within_two_frames_on_end(jim: Raw, pam: Raw, channel: str) -> None:
    sent = b"".join(echoed(channel, at) for at in range(40))
    for at in range(0, len(sent), 97):
        jim.send(sent[at : at + 97])
        await pam.pong()
    await comes_back(jim, *range(40))


async def test_pieces_with_a_ping_between_and_whole_frames_around(
    jim: Raw, pam: Raw, channel: str
) -> None:
    text = compact({"event": "echoed", "channel": channel, "data": "in pieces"})
    pieces = [
        frame(text[:10], first=0),
        frame(b"between", PING),
        frame(text[10:30], 0, first=0),
        frame(text[30:], 0, first=FIN),
    ]
    sent = [echoed(channel, 1), *pieces, echoed(channel, 2)]
    for segments in ([b"".join(sent)], sent):
        for segment in segments:
            jim.send(segment)
            await pam.pong()
        received = [await jim.read() for _ in range(4)]
        received.remove((PONG, b"between"))
        assert [json.loads(text)["data"] for _, text in received] == [1, "in pieces", 2]


async def test_an_empty_frame_is_refused_and_the_next_is_heard(jim: Raw, channel: str) -> None:
    jim.send(echoed(channel, 1), frame(b""), echoed(channel, 2))
    await comes_back(jim, 1)
    assert (await jim.receive("hotsock.error"))["error"]["code"] == "INVALID_MESSAGE"
    await comes_back(jim, 2)


async def test_what_comes_before_the_handshake_is_answered_waits(
    attacked_uvicorn: Server, pam: Raw, channel: str
) -> None:
    """`hotsock.connected` is what a client gets first; then what it had sent is handled in its
    order, a frame that has begun, too."""
    early = [frame({"event": "hotsock.subscribe", "channel": channel}), stored(channel, 1)]
    cut = echoed(channel, 2)
    async with asked(attacked_uvicorn, uid="jim", channels=room(channel, MESSAGES)) as jim:
        with writes_blocked(attacked_uvicorn):  # so that it cannot be answered
            await pam.pong()
            jim.send(*early, cut[:20])
            await pam.pong()
        await jim.accepted()
        jim.send(cut[20:], stored(channel, 3), echoed(channel, 4))
        await jim.receive("hotsock.subscribed")
        await comes_back(jim, 1, 2, 3, 4)


async def test_many_that_come_early_are_handled_behind_the_tokens_own_subscriptions(
    attacked_uvicorn: Server, pam: Raw, channel: str
) -> None:
    grants = room(channel, MESSAGES, autoSubscribe=True)
    async with asked(attacked_uvicorn, uid="jim", channels=grants) as jim:
        with writes_blocked(attacked_uvicorn):
            await pam.pong()
            jim.send(*(echoed(channel, number) for number in range(150)))
            await pam.pong()
        await jim.accepted()
        await jim.receive("hotsock.subscribed")
        await comes_back(jim, *range(150))


# --- frames behind one that takes its time -------------------------------------------------------


async def test_what_follows_a_refusal_in_its_segment_is_handled(jim: Raw, channel: str) -> None:
    """Also where the refused one might have had to wait for the database."""
    denied = frame({"event": "hotsock.subscribe", "channel": f"{channel}-2"})
    jim.send(denied, echoed(channel, 1), denied, denied, echoed(channel, 2))
    assert [(await jim.receive())["event"] for _ in range(5)] == [
        *("hotsock.error", "echoed"),
        *("hotsock.error", "hotsock.error", "echoed"),
    ]


def unread(server: Server, connection: Raw) -> int:
    """How many bytes the kernel keeps for the server, from this connection."""
    ends = f"0100007F:{server.port:04X} 0100007F:{connection.port:04X}"
    [line] = [line for line in Path("/proc/net/tcp").read_text().splitlines() if ends in line]
    return int(line.split()[4].partition(":")[2], 16)


async def test_while_frames_wait_for_a_slow_one_the_socket_is_not_read(
    attacked_uvicorn: Server, jim: Raw, pam: Raw, channel: str
) -> None:
    many = [stored(channel, number) for number in range(200)]
    with writes_blocked(attacked_uvicorn):
        jim.send(*many)
        await pam.pong()
        jim.send(frame(PINGED))
        await pam.pong()
        assert unread(attacked_uvicorn, jim) == len(frame(PINGED))
    await comes_back(jim, *range(200))
    await jim.receive("hotsock.pong")
    assert unread(attacked_uvicorn, jim) == 0


async def test_a_few_that_wait_do_not_stop_the_reading(
    attacked_uvicorn: Server, jim: Raw, pam: Raw, channel: str
) -> None:
    with writes_blocked(attacked_uvicorn):
        jim.send(*(stored(channel, number) for number in range(MAX_WAITING)))
        await pam.pong()
        jim.send(frame(b"still there", PING))
        if not WAY:  # through ASGI the first that waits stops it
            assert await jim.read() == (PONG, b"still there")
    received = [await jim.read() for _ in range(MAX_WAITING + bool(WAY))]
    messages = [json.loads(said)["data"] for opcode, said in received if opcode != PONG]
    assert messages == [*range(MAX_WAITING)]


@pytest.mark.parametrize("end", ["a close frame", "FIN", "both"])
@pytest.mark.parametrize("count", [3, 200])
async def test_what_was_sent_before_the_end_is_stored(
    attacked_uvicorn: Server, jim: Raw, pam: Raw, channel: str, end: str, count: int
) -> None:
    jim.send(*(stored(channel, number) for number in range(count)))
    if end != "FIN":
        jim.send(frame((1000).to_bytes(2), CLOSE))
    if end != "a close frame":
        jim.leave()

    async def all_stored() -> bool:
        return len(await asyncio.to_thread(stored_in, attacked_uvicorn, channel)) == count

    assert await eventually(all_stored)
    assert stored_in(attacked_uvicorn, channel) == [*map(str, range(count))]
    assert await eventually(lambda: gone(attacked_uvicorn, jim))


async def test_what_waits_when_its_client_closes_is_stored(
    attacked_uvicorn: Server, jim: Raw, pam: Raw, channel: str
) -> None:
    with writes_blocked(attacked_uvicorn):
        many = [stored(channel, number) for number in range(10)]
        jim.send(*many, frame((1000).to_bytes(2), CLOSE))
        assert await jim.closed(answer=False) == 1000
        await pam.pong()
    assert await eventually(lambda: gone(attacked_uvicorn, jim))
    assert stored_in(attacked_uvicorn, channel) == [*map(str, range(10))]


# --- what ends a connection ----------------------------------------------------------------------

ENDING = {
    "text that is not UTF-8": (frame(b'"\xff"'), 1007),
    "text cut within a character": (frame(b'{"event":"\xc3\x28"}'), 1007),
    "a surrogate": (frame(b"\xed\xa0\x80"), 1007),
    "two bytes for one": (frame(b"\xc0\x80"), 1007),
    "a frame that is not masked": (frame(b"hi", masked=False), 1002),
    "a reserved bit": (frame(b"hi", first=FIN | 0x40), 1002),
    "a reserved opcode": (frame(b"hi", 3), 1002),
    "a continuation of nothing": (frame(b"hi", 0), 1002),
    "text within text": (frame(b"hi", first=0) + frame(b"hi"), 1002),
    "a long ping": (frame(b"x" * 126, PING), 1002),
    "a ping in pieces": (frame(b"", PING, first=0), 1002),
    "a close of one byte": (frame(b"\x03", CLOSE), 1002),
    "a close with a code that is none": (frame((999).to_bytes(2), CLOSE), 1002),
    "a close with a reason that is not UTF-8": (frame(b"\x03\xe8\xff", CLOSE), 1007),
    "2 to the 63 bytes to come": (b"\x81\xff" + (2**63).to_bytes(8), 1009),
    "2 to the 32 bytes to come": (b"\x81\xff" + (2**32).to_bytes(8) + b"mask", 1009),
    "a byte too much to come": (b"\x81" + length(LARGEST + 1) + b"mask", 1009),
    "a byte too much": (frame(b" " * (LARGEST + 1)), 1009),
    "a byte too much, binary": (frame(b" " * (LARGEST + 1), BINARY), 1009),
}


@pytest.mark.parametrize("cut", [False, True], ids=["together", "cut"])
@pytest.mark.parametrize(("ending", "code"), ENDING.values(), ids=ENDING)
async def test_good_frames_before_a_bad_one_are_answered(
    jim: Raw, pam: Raw, channel: str, ending: bytes, code: int, cut: bool
) -> None:
    good = [echoed(channel, number) for number in range(3)]
    jim.send(*good, ending[: 1 if cut else None])
    if cut:
        await pam.pong()
        jim.send(ending[1:])
    await comes_back(jim, *range(3))
    assert await jim.closed() == code


async def test_the_largest_frame_is_heard(jim: Raw, channel: str) -> None:
    text = compact({"event": "echoed", "channel": channel, "data": 1})
    jim.send(frame(text.ljust(LARGEST)), echoed(channel, 2))
    await comes_back(jim, 1, 2)


async def test_what_follows_a_bad_frame_is_not_heard(
    attacked_uvicorn: Server, jim: Raw, channel: str
) -> None:
    grants = room(channel, MESSAGES)
    async with subscribed(attacked_uvicorn, channel, uid="eve", channels=grants) as eve:
        jim.send(echoed(channel, 1), frame(b"\xff"), echoed(channel, 2), stored(channel, 3))
        await comes_back(jim, 1)
        assert await jim.closed() == 1007
        assert (await eve.receive("echoed"))["data"] == 1
        await eve.nothing()
    assert stored_in(attacked_uvicorn, channel) == []


BEHIND = {
    "a ping": frame(b"", PING),
    "a close": frame((1000).to_bytes(2), CLOSE),
    "another": frame(b"\xff"),
    "a byte too much": frame(b" " * (LARGEST + 1)),
    "what is not masked": frame(b"hi", masked=False),
}


@pytest.mark.parametrize("cut", [False, True], ids=["together", "cut"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
async def test_behind_a_bad_frame_anything_may_come(
    jim: Raw, pam: Raw, behind: bytes, cut: bool
) -> None:
    jim.send(frame(b"\xff"), *([] if cut else [behind]))
    if cut:
        await pam.pong()
        jim.send(behind)
    opcode, payload = await jim.read()
    if opcode == PONG and WAY:  # the library answers before it hands on what came
        opcode, payload = await jim.read()
    assert opcode == CLOSE
    assert int.from_bytes(payload[:2]) in (1007, *((1000, 1002, 1009) if not cut else ()))


@pytest.mark.parametrize("cut", [1, 4, 30])
async def test_a_reset_within_a_frame_leaves_no_rows(
    attacked_uvicorn: Server, jim: Raw, pam: Raw, channel: str, cut: int
) -> None:
    assert rows_of(attacked_uvicorn, jim.id) == 2
    jim.send(echoed(channel, 1), stored(channel, 2)[:cut])
    await comes_back(jim, 1)
    await pam.pong()
    jim.reset()
    assert await eventually(lambda: gone(attacked_uvicorn, jim))
    assert stored_in(attacked_uvicorn, channel) == []

"""Floods of frames, below and beside the messages that are counted anyway: they cost their sender,
and nobody else (protocol.md section 17)."""

import asyncio
import json
import os

import pytest

from tests.hostile.attack import FULL, MAX_GROWTH, PAUSE_SECONDS, flood, unaffected
from tests.hostile.conftest import unharmed
from tests.support.calls import compact
from tests.support.raw import BINARY, CLOSE, FIN, PING, PONG, TEXT, Raw, frame, raw
from tests.support.servers import WAY, Server

FLOODS = {  # what comes first, and then again and again
    "empty pings": (b"", frame(b"", PING)),
    "pings of 125 bytes": (b"", frame(b"x" * 125, PING)),
    "pongs": (b"", frame(b"", PONG)),
    "continuations": (frame(b"", first=0), frame(b"", 0, first=0)),
    "empty binary frames": (b"", frame(b"", BINARY)),
    "texts": (b"", frame("{}")),
}
CROWDS = (1, 3, 20) if FULL else (3,)
CHUNK = 256 * 1024  # bytes that a client sends at once
CPU_SECONDS = 0.7  # where all was parsed, it took a second


@pytest.fixture(params=["server", "unlimited"], ids=["limited", "unlimited"])
def flooded(request: pytest.FixtureRequest) -> Server:
    """With the default limit of 100 frames a second, and without."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.mark.parametrize("clients", CROWDS)
@pytest.mark.parametrize(("first", "piece"), FLOODS.values(), ids=FLOODS)
async def test_a_flood_delays_nobody(
    flooded: Server, first: bytes, piece: bytes, clients: int
) -> None:
    with unharmed(flooded):
        async with unaffected(flooded):
            again = piece * (CHUNK // len(piece))
            done = await flood(flooded, again, first=first, clients=clients)
        assert done["let in"] >= clients
        assert done["sent"] >= CHUNK


async def test_who_reads_no_pong_is_owed_one(unlimited: Server) -> None:
    with unharmed(unlimited):
        async with unaffected(unlimited):
            again = frame(b"x" * 125, PING) * 2000
            done = await flood(unlimited, again, clients=4, reads=False)
        assert done["sent"] > MAX_GROWTH / 4


async def test_who_reads_has_every_ping_answered(unlimited: Server) -> None:
    async with raw(unlimited) as client:
        for at in range(2000):
            client.send(frame(b"%d" % at, PING))
        for at in range(2000):
            assert await client.read() == (PONG, b"%d" % at)


PIECES = [frame(b"", first=0), *[frame(b"", 0, first=0)] * 10_000]
LAST = frame(compact({"event": "hotsock.ping"}), 0, first=FIN)


hears_of_all = pytest.mark.skipif(bool(WAY), reason="an ASGI application hears of messages alone")


@hears_of_all
async def test_a_message_in_10000_pieces_is_abuse(server: Server, channel: str) -> None:
    async with raw(server, uid=channel) as client:
        client.send(*PIECES, LAST)
        assert await refused(client) == (["RATE_LIMITED"] * 2, 4429)


async def test_where_there_is_no_limit_it_is_handled(unlimited: Server) -> None:
    async with raw(unlimited) as client:
        client.send(*PIECES, LAST)
        await client.receive("hotsock.pong")


@pytest.mark.parametrize("opcode", [PING, PONG, BINARY, TEXT])
async def test_500_frames_of_any_kind_are_not_limited(server: Server, opcode: int) -> None:
    async with raw(server) as client:
        client.send(*[frame(b"", opcode)] * 499)
        client.send(frame({"event": "hotsock.ping"}))
        answers = 0 if opcode == PONG else 499
        said = [await client.read() for _ in range(answers + 1)]
        assert not [each for _, each in said if b"RATE_LIMITED" in each]
        assert b"hotsock.pong" in said[-1][1]


@hears_of_all
async def test_after_our_close_a_flood_is_not_parsed(server: Server, channel: str) -> None:
    """But its client learns why."""
    pings = frame(b"", PING) * 10_000
    with unharmed(server):
        async with raw(server, uid=channel) as client:
            client.send(pings)
            assert await refused(client) == (["RATE_LIMITED"] * 2, 4429)
            before = cpu(server)
            for _ in range(100):
                client.send(pings)
                await asyncio.sleep(PAUSE_SECONDS)
            assert cpu(server) - before < CPU_SECONDS


async def refused(client: Raw) -> tuple[list[str], int]:
    """The codes of the errors that come, and the code of the close frame behind them."""
    codes = []
    while (said := await client.read())[0] != CLOSE:
        if said[0] == TEXT:
            codes.append(json.loads(said[1])["error"]["code"])
    return codes, int.from_bytes(said[1][:2])


def cpu(server: Server) -> float:
    """The seconds of work that the server's process has done."""
    with open(f"/proc/{server.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

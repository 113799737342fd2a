"""Who reads 4 MB/s is sent up to that, in whatever bursts; who reads less is closed (P6)."""

import asyncio
import os
import time

import pytest
from pytest_django import DjangoDbBlocker

from tests.hostile.test_slow_readers import KIB, StuckReader
from tests.support.calls import compact
from tests.support.connecting import connect
from tests.support.databases import default_database
from tests.support.servers import Server
from tests.support.written import do, store

MB = 1_000_000
DATA = "x" * 30 * KIB
# Messages at once: the server's kernel takes 3 MB of them, of which nobody waits.
BURST = 5 * MB // len(DATA)
BURST_SECONDS = 1.3
FULL = float(os.environ.get("HOSTILE_SCALE", "1")) > 1
BURSTS, MISSED = (5, 30 * MB) if FULL else (2, 8 * MB)
# Bytes a second, and whether it is closed.
READERS = [(4 * MB, False), (1 * MB, True)] if FULL else [(4 * MB, False)]


class PacedReader(StuckReader):
    async def read(self, per_second: int, size: int) -> bytes:
        """Until so many bytes have come, or the end; the last ones."""
        loop, begun, got, tail = asyncio.get_running_loop(), time.monotonic(), 0, b""
        while got < size:
            allowed = int((time.monotonic() - begun) * per_second) - got
            if allowed < 4 * KIB:
                await asyncio.sleep(0.002)
                continue
            try:
                part = await loop.sock_recv(self._socket, min(allowed, 64 * KIB))
            except ConnectionError:
                break
            if not part:
                break
            got, tail = got + len(part), (tail + part)[-4:]
        return tail


@pytest.mark.parametrize(("per_second", "closed"), READERS)
async def test_who_takes_what_is_sent_in_the_mean_stays(
    attacked_uvicorn: Server, channel: str, per_second: int, closed: bool
) -> None:
    message = compact({"event": "flood", "channel": channel, "data": DATA})
    async with connect(
        attacked_uvicorn, channels={channel: {"messages": {"flood": {"broadcast": True}}}}
    ) as jim:
        reader = PacedReader(attacked_uvicorn, channel)
        await reader.subscribe()
        reading = asyncio.create_task(reader.read(per_second, BURSTS * BURST * len(DATA)))
        for _ in range(BURSTS):
            begun = time.monotonic()
            await jim.send(*[message] * BURST)
            await jim.settle()
            await asyncio.sleep(max(0, begun + BURST_SECONDS - time.monotonic()))
        tail = await asyncio.wait_for(reading, 20)
        assert (tail == b"\x88\x02" + (4410).to_bytes(2, "big")) == closed
        reader.leave()


async def test_what_was_missed_comes_no_faster_than_it_is_taken(
    attacked_uvicorn: Server, channel: str, django_db_blocker: DjangoDbBlocker
) -> None:
    """Another process has stored much, which all are sent as soon as that is noticed."""
    count = MISSED // len(DATA)
    reader = PacedReader(attacked_uvicorn, channel)
    await reader.subscribe()

    def write() -> None:
        with default_database(attacked_uvicorn.env["DATABASE_URL"]):
            do(*(store(channel, f'"{DATA}"') for _ in range(count)))

    with django_db_blocker.unblock():
        await asyncio.to_thread(write)
    tail = await asyncio.wait_for(reader.read(4 * MB, count * len(DATA)), 30)
    assert tail == b"xxxx"
    reader.leave()

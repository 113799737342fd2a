"""Who reads 4 MB/s is sent up to that, in whatever bursts; who reads less is closed (P6)."""

import asyncio
import time

import pytest

from tests.hostile.test_slow_readers import KIB, StuckReader
from tests.support.calls import compact
from tests.support.connecting import connect
from tests.support.servers import Server

MB = 1_000_000
FLOOD = {"flood": {"publish": True}}
DATA = "x" * 30 * KIB
# Messages at once: the server's kernel takes 3 MB of them, of which nobody waits.
BURST = 5 * MB // len(DATA)
BURST_SECONDS = 1.3
BURSTS = 3


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


@pytest.mark.parametrize(("per_second", "closed"), [(4 * MB, False), (1 * MB, True)])
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

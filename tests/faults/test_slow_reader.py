"""A reader stops reading a busy channel; its socket stays open (P6)."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.conftest import SCALE, Fault
from tests.faults.kernel import memory, sockets
from tests.faults.recording import MESSAGES, Connection, Frame, until
from tests.faults.rude import Rude
from tests.support.servers import Server, start_server
from tests.support.stored import rows, rows_of

READERS = 5
PACE_SECONDS = 0.005
MESSAGES_EACH = 400  # in the load before, and at least while somebody does not read
WARM_UP = 200
TEXT = "x" * 16_000  # the kernel takes some 3 MB before the server keeps any
MEMORY_BYTES = 2 * 1024 * 1024
GONE_SECONDS = 30
P99_RATIO = 1.5
ROOM, TEAM = "slow-reader", "presence.slow-reader"
CHANNELS = {"*": {"subscribe": True, "messages": MESSAGES}}


@dataclass
class Load:
    """One publishes at a steady pace, each of `readers` notes how late it gets what."""

    server: Server
    publisher: Connection
    readers: list[Connection]
    late: list[float] = field(default_factory=list)
    expected: int = 0
    heard: int = 0
    greatest: int = 0

    def __post_init__(self) -> None:
        for reader in self.readers:
            reader.on_frame = lambda frame, reader=reader: self._note(reader, frame)

    def _note(self, reader: Connection, frame: Frame) -> None:
        if frame.event == "typing":
            self.heard += 1
            self.late.append(frame.at - frame.value[0])
            reader.frames.clear()  # not what this test is about, and 100 MB

    async def run(self, count: int) -> float:
        """Publishes so many and returns when all readers have them; gives the p99 in seconds."""
        self.late.clear()
        for _ in range(count):
            self.publisher.publish(ROOM, [time.monotonic(), TEXT], "typing")
            self.expected += len(self.readers)
            await asyncio.sleep(PACE_SECONDS)
            self.greatest = max(self.greatest, memory(self.server.pid))
        await until(lambda: self.heard == self.expected, "the others have all")
        return statistics.quantiles(self.late, n=100)[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server("uvicorn", tmp_path, CLIENT_FRAMES_PER_SECOND="0") as server:
        yield server


async def test_slow_reader(server: Server, fault: Fault) -> None:
    publisher, *readers = [
        await Connection.open(server, f"user{n}", channels=CHANNELS) for n in range(READERS + 1)
    ]
    for reader in readers:
        await reader.subscribe(ROOM)
    load = Load(server, publisher, readers)
    await load.run(WARM_UP)
    usual = await load.run(fault.times(MESSAGES_EACH))
    before = load.greatest

    stopped = await stop_reading(server)
    begun = time.monotonic()
    p99s = [await load.run(fault.times(MESSAGES_EACH))]
    while stopped.address in sockets(server.port):
        assert time.monotonic() < begun + GONE_SECONDS, "the server still has its socket"
        p99s.append(await load.run(50))
    fault.measure("seconds until its socket was gone", time.monotonic() - begun)
    grown = load.greatest - before
    fault.measure("KiB more while it did not read", grown / 1024)
    fault.measure("p99 of the others before, ms", usual * 1000)
    fault.measure("p99 of the others with it, ms", p99s[0] * 1000)
    fault.measure("p99 of the others, ratio", p99s[0] / usual)
    fault.count("readers that stopped")

    await until(lambda: not rows_of(server, stopped.credentials["connectionId"]), "no row is left")
    fault.none("members left", rows(server, MEMBERS, TEAM))
    assert grown <= MEMORY_BYTES, f"{grown / 1024:.0f} KiB more for a reader that does not read"
    assert all(reader.open_ for reader in readers)
    if SCALE >= 10:
        assert p99s[0] <= usual * P99_RATIO, f"{p99s[0] * 1000:.1f} ms, {usual * 1000:.1f} before"


async def stop_reading(server: Server) -> Rude:
    """A member of the team that is in the room, too, and reads no more."""
    connection = await Rude.open(server, "stopped", channels=CHANNELS)
    await connection.subscribe(TEAM)
    await connection.subscribe(ROOM)
    connection.stop_reading()
    return connection


MEMBERS = """
    SELECT m.uid FROM chat_member m JOIN chat_channel c ON c.id = m.channel_id
    WHERE c.name = ? AND NOT m.removed
"""

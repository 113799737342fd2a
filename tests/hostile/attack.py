"""What others notice while a server is attacked. `HOSTILE_SCALE` above 1 (`make test-hostile`) is
for a machine with nothing else to do: more clients, for longer, and the bounds that are promised.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.conftest import memory
from tests.support.raw import Raw, frame, raw, upgrade
from tests.support.servers import Server, token
from tests.support.stored import rows
from tests.support.waiting import until

FULL = float(os.environ.get("HOSTILE_SCALE", "1")) > 1
SECONDS = 8.0 if FULL else 1.0  # of an attack
P99_SECONDS, WORST_SECONDS = (0.1, 0.25) if FULL else (3.0, 5.0)  # else others may be at work, too
MAX_GROWTH = 20 * 1024 * 1024
ATTACKERS = Path(__file__).with_name("attackers.py")
PAUSE_SECONDS = 0.01
PING = frame({"event": "hotsock.ping"})


@dataclass
class Others:
    """One who pings every 10 ms, however long the answers take; and what the server takes."""

    server: Server
    seconds: list[float] = field(default_factory=list)  # until each ping was answered
    growth: int = 0  # bytes of the server's memory, at the most
    _sent: deque[float] = field(default_factory=deque)  # when; those that are not answered yet

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]

    def __str__(self) -> str:
        p99, worst = 1000 * self.p99, 1000 * max(self.seconds)
        return f"p99 {p99:.0f} ms, worst {worst:.0f} ms, memory + {self.growth / 2**20:.1f} MiB"

    @asynccontextmanager
    async def pinging(self) -> AsyncIterator[None]:
        async with raw(self.server, uid=f"honest-{secrets.token_hex(4)}") as honest:
            hearing = asyncio.create_task(self._hear(honest))
            asking = asyncio.create_task(self._ask(honest))
            try:
                yield
            finally:
                asking.cancel()
            await until(lambda: not self._sent or hearing.done(), "every ping is answered")
            if not hearing.cancel():
                hearing.result()

    async def _ask(self, honest: Raw) -> None:
        before = memory(self.server)
        while True:
            honest.send(PING)
            self._sent.append(time.monotonic())
            self.growth = max(self.growth, memory(self.server) - before)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _hear(self, honest: Raw) -> None:
        while True:
            await honest.receive("hotsock.pong")
            self.seconds.append(time.monotonic() - self._sent.popleft())


@asynccontextmanager
async def unaffected(server: Server, growth: int = MAX_GROWTH) -> AsyncIterator[Others]:
    """Others and the server's lease are as they should be, whatever happens to it meanwhile; its
    memory grows by `growth` bytes at most."""
    others, leases = Others(server), rows(server, "SELECT id FROM chat_node")
    with apart(server):
        async with others.pinging():
            yield others
    if FULL:
        print(others)
    assert others.p99 <= P99_SECONDS, others
    assert max(others.seconds) <= WORST_SECONDS, others
    assert others.growth <= growth, others
    assert rows(server, "SELECT id FROM chat_node") == leases, "its lease was lost"


@contextmanager
def apart(server: Server) -> Iterator[None]:
    """At full scale the server has one core, and all else the others."""
    mine = os.sched_getaffinity(0)
    if not FULL or len(mine) < 2:
        yield
        return
    first, *rest = sorted(mine)
    for thread in Path(f"/proc/{server.pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has ended
            os.sched_setaffinity(int(thread.name), {first})
    os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


async def flood(
    server: Server,
    again: bytes,
    *,
    first: bytes = b"",
    clients: int = 3,
    seconds: float = SECONDS,
    reads: bool = True,
) -> dict[str, int]:
    """`clients` send `first`, then `again` for ever, and connect again when they are closed. Says
    how often they were let in, and how many bytes they sent."""
    people = [f"attacker-{secrets.token_hex(4)}" for _ in range(clients)]
    asked = {
        "port": server.port,
        "handshakes": [upgrade(token(server, uid=uid)).decode() for uid in people],
        "first": first.hex(),
        "again": again.hex(),
        "seconds": seconds,
        "reads": reads,
    }
    command = (sys.executable, str(ATTACKERS))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    said, _ = await process.communicate(json.dumps(asked).encode() + b"\n")
    done: dict[str, int] = json.loads(said)
    return done

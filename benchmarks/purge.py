"""`python -m benchmarks --purge [ROWS]`: what the purge takes, alone and beside a chat.

ROWS expired messages with reactions (a million) go from among as many live ones. Minutes, so
`make bench` leaves it out. The chat is a real server with 200 messages a second over real sockets,
each stored; a latency is the time from sending a message to having its echo.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.filled import Postgresql, Sqlite
from tests.support.servers import ROOT, Server, server_environment, start_server, token

ROWS: Final = 1_000_000
SOCKETS: Final = 20
RATE: Final = 200  # messages a second, of all sockets together
BEFORE_SECONDS: Final = 20
BESIDE_SECONDS: Final = "60"  # time enough to see; the rest of the rows stays
ECHO_SECONDS: Final = 10


def main(rows: int = ROWS) -> None:
    print(f"{rows:,} expired messages with reactions among as many live ones")
    with tempfile.TemporaryDirectory(prefix="chatsite-purge-") as directory:
        for kind in (Sqlite, Postgresql):
            database = kind(Path(directory))
            try:
                database.fill(rows)
                print(f"{kind.__name__}, alone: {_alone(database)}", flush=True)
                print(f"{kind.__name__}, beside: {asyncio.run(_beside(database))}", flush=True)
            finally:
                database.stop()


# --- the purge ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purged:
    """What it reported, and its greatest memory in MB (10**6 bytes)."""

    removed: int
    seconds: float
    memory: float

    def __str__(self) -> str:
        return f"{self.removed:,} messages in {self.seconds:.1f} s, {self.memory:.0f} MB"


def _purge(environment: dict[str, str], *options: str) -> Purged:
    command = [sys.executable, "manage.py", "purge_expired", "--json", *options]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)  # noqa: S603
    assert process.stdout is not None  # noqa: S101
    report: dict[str, Any] = json.loads(process.stdout.read())
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return Purged(report["removed"]["messages"], report["seconds"], usage.ru_maxrss * 1024 / 1e6)


def _alone(database: Sqlite | Postgresql) -> Purged:
    return _purge(server_environment(database.directory, DATABASE_URL=database.copy()))


# --- the chat beside it -------------------------------------------------------------------------


@dataclass
class Latencies:
    """Of the messages sent in one stretch of time, in seconds; `failed` lack an echo."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def __str__(self) -> str:
        p50, p99 = median(self.seconds), quantiles(self.seconds, n=100)[98]
        return (
            f"p50 {p50 * 1e3:.1f}, p99 {p99 * 1e3:.1f}, max {max(self.seconds) * 1e3:.0f} ms"
            f" of {len(self.seconds):,}, {self.failed} failed"
        )


class Talk:
    """SOCKETS connections that publish RATE messages a second together and wait for the echoes."""

    def __init__(self) -> None:
        self._sent: dict[tuple[int, int], float] = {}
        self._echoed: dict[tuple[int, int], float] = {}
        self._over = asyncio.Event()
        self._all_echoed = asyncio.Event()

    async def run(self, server: Server) -> None:
        """Until `stop`; returns when every echo has come, or its time is up."""
        sockets = [await _subscribed(server, number) for number in range(SOCKETS)]
        listening = [
            asyncio.create_task(self._listen(number, socket))
            for number, socket in enumerate(sockets)
        ]
        await asyncio.gather(*(self._talk(*numbered) for numbered in enumerate(sockets)))
        if len(self._echoed) < len(self._sent):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_echoed.wait(), ECHO_SECONDS)
        for task, socket in zip(listening, sockets, strict=True):
            task.cancel()
            await socket.close()

    def stop(self) -> None:
        self._over.set()

    def between(self, start: float, end: float) -> Latencies:
        latencies = Latencies()
        for key, sent in self._sent.items():
            if start <= sent < end:
                if key in self._echoed:
                    latencies.seconds.append(self._echoed[key] - sent)
                else:
                    latencies.failed += 1
        return latencies

    async def _talk(self, socket_number: int, socket: ClientConnection) -> None:
        interval = SOCKETS / RATE
        due = time.perf_counter() + interval * socket_number / SOCKETS
        number = 0
        while not self._over.is_set():
            await asyncio.sleep(due - time.perf_counter())
            self._sent[socket_number, number] = time.perf_counter()
            await socket.send(
                json.dumps({"event": "chat", "channel": f"talk-{socket_number}", "data": number})
            )
            number += 1
            due += interval

    async def _listen(self, socket_number: int, socket: ClientConnection) -> None:
        async for frame in socket:
            now, event = time.perf_counter(), json.loads(frame)
            if event["event"] == "chat":
                self._echoed[socket_number, event["data"]] = now
                if self._over.is_set() and len(self._echoed) == len(self._sent):
                    self._all_echoed.set()


async def _subscribed(server: Server, number: int) -> ClientConnection:
    channel = f"talk-{number}"
    rights = {"subscribe": True, "messages": {"chat": {"publish": True, "echo": True, "store": 60}}}
    granted = token(server, uid=f"talker-{number}", channels={channel: rights})
    url = f"{server.ws_url}?{urlencode({'token': granted})}"
    socket = await connect(url, proxy=None, compression=None)
    await socket.send(json.dumps({"event": "hotsock.subscribe", "channel": channel}))
    while json.loads(await socket.recv())["event"] != "hotsock.subscribed":
        pass
    return socket


async def _beside(database: Sqlite | Postgresql) -> str:
    with start_server("uvicorn", database.directory, DATABASE_URL=database.copy()) as server:
        talk = Talk()
        talking = asyncio.create_task(talk.run(server))
        await asyncio.sleep(BEFORE_SECONDS / 4)  # connections are made, caches are warm
        start = time.perf_counter()
        await asyncio.sleep(BEFORE_SECONDS)
        purging = time.perf_counter()
        purged = await asyncio.to_thread(_purge, server.env, "--max-seconds", BESIDE_SECONDS)
        end = time.perf_counter()
        talk.stop()
        await talking
        before, during = talk.between(start, purging), talk.between(purging, end)
    return f"{purged}\n    before: {before}\n    during: {during}"

"""`python -m benchmarks --presence [MEMBERS]`: what a thousand members of one channel cost.

A real server and MEMBERS (1,000) connections of this one process, each a member of 27 bytes. They
join all at once, half of them vanish at once; then they join a new channel one after another.
Every change is told to all with the whole list, so what is sent grows with the cube of MEMBERS: 9
GB for a thousand. The client only cuts frames and keeps each connection's last one. Where the
machine is busy with other things, the CPU seconds say more than the times do.
"""

import asyncio
import base64
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode

from benchmarks import cpu
from tests.support.servers import Server, start_server, token

MEMBERS: Final = 1_000
RIGHTS: Final = {"presence.*": {"subscribe": True}}
LIMIT_SECONDS: Final = 120
BUFFER: Final = bytearray(1 << 20)  # of all: what is read is handled before anything else is


def main(members: int = MEMBERS) -> None:
    """With DATABASE_URL in the environment, on that database; else on SQLite."""
    address = os.environ.get("DATABASE_URL")
    env: dict[str, Any] = {"DATABASE_URL": address} if address else {}
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-presence-") as directory,
        start_server("uvicorn", Path(directory), **env) as server,
    ):
        asyncio.run(_measure(server, members))


class Member(asyncio.BufferedProtocol):
    """A connection that has been accepted. `last` is the text of its last frame."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.accepted = False
        self.closed = False
        self.last: bytes | bytearray = b""
        self._unread = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.news.set()

    def get_buffer(self, sizehint: int) -> bytearray:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._unread += memoryview(BUFFER)[:nbytes]
        if not self.accepted:
            head, found, rest = self._unread.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.splitlines()[0]:
                raise ConnectionRefusedError(head)
            self.accepted, self._unread = True, rest
        self._cut_frames()
        self.news.set()

    def _cut_frames(self) -> None:
        at, last = 0, None
        while (found := self._frame(at)) is not None:
            kind, start, at = found
            if kind == 1:
                last = start, at
            elif kind == 8:
                self.closed = True
            elif kind == 9:
                self._send(10, bytes(self._unread[start:at]))
        if last is not None:
            self.last = self._unread[slice(*last)]
        if at:
            del self._unread[:at]

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        """The kind, the begin and the end of the frame at `at`, once it is whole."""
        unread, start = self._unread, at + 2
        if len(unread) < start:
            return None
        size = unread[at + 1]
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(unread[at + 2 : start])
        if len(unread) < start + size:
            return None
        return unread[at] & 15, start, start + size

    def subscribe(self, channel: str) -> None:
        self._send(1, json.dumps({"event": "hotsock.subscribe", "channel": channel}).encode())

    def _send(self, kind: int, payload: bytes) -> None:
        """At most 125 bytes, masked with zeros."""
        self.transport.write(bytes([128 | kind, 128 | len(payload)]) + bytes(4) + payload)

    def members(self, channel: str) -> list[Any]:
        frame = json.loads(self.last)
        named = frame.get("channel") == channel
        return cast("list[Any]", frame["data"].get("members", [])) if named else []

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.closed:
                raise ConnectionAbortedError("the server closed a member")
            self.news.clear()
            await self.news.wait()


async def _open(server: Server, number: int) -> Member:
    granted = token(server, uid=f"m{number:05}", channels=RIGHTS)  # {"uid":"m00000","umd":null}
    loop = asyncio.get_running_loop()
    _, member = await loop.create_connection(Member, "127.0.0.1", server.port)
    member.transport.write(
        f"GET /v1?{urlencode({'token': granted})} HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    await member.until(lambda: b"hotsock.connected" in member.last)
    return member


async def _all_hold(members: Sequence[Member], channel: str, count: int) -> None:
    """Returns when each one's last list has so many members; all are the same list."""
    async with asyncio.timeout(LIMIT_SECONDS):
        for member in members:
            await member.until(lambda member=member: len(member.members(channel)) == count)
    if len({json.dumps(member.members(channel)) for member in members}) > 1:
        raise ValueError("members hold different lists")


@contextmanager
def _timed(server: Server, what: str) -> Iterator[None]:
    began, used, served = time.perf_counter(), time.process_time(), cpu.used([server.pid])
    yield
    took = time.perf_counter() - began
    used, served = time.process_time() - used, cpu.used([server.pid]) - served
    print(f"{what:<36}{took:>8.2f} s  server {served:.2f} s CPU, client {used:.2f} s", flush=True)


async def _measure(server: Server, count: int) -> None:
    members = [await _open(server, number) for number in range(count)]
    with _timed(server, f"{count:,} join at once"):
        for member in members:
            member.subscribe("presence.one")
        await _all_hold(members, "presence.one", count)
    gone, left = members[::2], members[1::2]
    with _timed(server, f"{len(gone):,} of them vanish at once"):
        for member in gone:
            member.transport.abort()
        await _all_hold(left, "presence.one", len(left))
    for member in left:
        member.transport.abort()
    members = [await _open(server, number) for number in range(count)]
    quarter = count // 4
    for begin in range(0, quarter * 4, quarter):
        with _timed(server, f"{quarter:,} more join one after another"):
            for member in members[begin : begin + quarter]:
                member.subscribe("presence.other")
                await member.until(lambda member=member: b'"members":' in member.last)  # type: ignore[misc]
            await _all_hold(members[: begin + quarter], "presence.other", begin + quarter)

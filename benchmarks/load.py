"""Connections that cost this process little: frames are counted, not read.

A room is a publisher, which is not subscribed, and receivers; the publisher sends the next chunk
when the last receiver has all of the one before. With one room and chunks of one frame, each
message has a turn of the server's event loop to itself.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlencode

from tests.servers import Server, token

BUFFER: Final = bytearray(1 << 20)  # of all: what is read is handled before anything else is
AT_ONCE: Final = 50
LIMIT_SECONDS: Final = 30
DATA: Final = "a message of an ordinary length, as people write them"
PASSING: Final = {"publish": True, "broadcast": True}
STORED: Final = PASSING | {"store": 3600}


class Connection(asyncio.BufferedProtocol):
    """Accepted once `texts` is above 0: the number of text frames that have come."""

    def __init__(self) -> None:
        self.texts = 0
        self.closed = False
        self._unread = bytearray()
        self._accepted = False
        self._wanted = 0
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionAbortedError("the server closed a connection"))

    def get_buffer(self, sizehint: int) -> bytearray:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._unread += memoryview(BUFFER)[:nbytes]
        if not self._accepted:
            head, found, rest = self._unread.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.splitlines()[0]:
                raise ConnectionRefusedError(head)
            self._accepted, self._unread = True, rest
        self._count()
        waiting = self._waiting
        if waiting is not None and self.texts >= self._wanted and not waiting.done():
            waiting.set_result(None)

    def _count(self) -> None:
        unread, at, end = self._unread, 0, len(self._unread)
        while at + 2 <= end:
            size, start = unread[at + 1], at + 2
            if size == 126:
                start += 2
                size = int.from_bytes(unread[at + 2 : start])
            if start + size > end:
                break
            if unread[at] & 15 == 1:
                self.texts += 1
            elif unread[at] & 15 == 9:
                self.transport.write(masked(10, bytes(unread[start : start + size])))
            at = start + size
        del unread[:at]

    async def until(self, texts: int) -> None:
        """Returns when so many have come, in all."""
        if self.texts < texts:
            self._wanted = texts
            self._waiting = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(LIMIT_SECONDS):
                await self._waiting

    async def ask(self, frame: dict[str, Any]) -> None:
        """Sends it and waits for one frame."""
        expected = self.texts + 1
        self.transport.write(masked(1, json.dumps(frame).encode()))
        await self.until(expected)


def masked(kind: int, payload: bytes) -> bytes:
    """A frame of a client's; masked with zeros."""
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else bytes([254]) + size.to_bytes(2)
    return bytes([128 | kind]) + length + bytes(4) + payload


async def open_one(server: Server, uid: str, **directives: Any) -> Connection:
    granted = token(server, uid=uid, channels={"*": {"subscribe": True, **directives}})
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", server.port)
    connection.transport.write(
        f"GET /v1?{urlencode({'token': granted})} HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    await connection.until(1)
    return connection


async def open_many(server: Server, count: int, **directives: Any) -> list[Connection]:
    opened: list[Connection] = []
    while len(opened) < count:
        part = range(len(opened), min(len(opened) + AT_ONCE, count))
        opened += await asyncio.gather(*(open_one(server, f"u{n}", **directives) for n in part))
    return opened


def close(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.transport.abort()


@dataclass
class Room:
    publisher: Connection
    receivers: list[Connection]
    frame: bytes
    sent: int = 0

    async def publish(self, chunk: int) -> None:
        last = self.receivers[-1]
        expected = last.texts + chunk
        self.publisher.transport.write(self.frame * chunk)
        await last.until(expected)
        self.sent += chunk

    async def publish_until(self, end: float, chunk: int) -> None:
        while time.monotonic() < end:
            await self.publish(chunk)

    def close(self) -> None:
        close([self.publisher, *self.receivers])


async def open_room(publishing: Server, receiving: Server, receivers: int, event: str) -> Room:
    channel = f"room-{os.urandom(8).hex()}"
    [publisher] = await open_many(publishing, 1, messages={"chat": STORED, "typing": PASSING})
    opened = await open_many(receiving, receivers)
    for start in range(0, receivers, AT_ONCE):
        subscribe = {"event": "hotsock.subscribe", "channel": channel}
        await asyncio.gather(*(each.ask(subscribe) for each in opened[start : start + AT_ONCE]))
    frame = masked(1, json.dumps({"event": event, "channel": channel, "data": DATA}).encode())
    return Room(publisher, opened, frame)

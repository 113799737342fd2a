"""A WebSocket on a bare TCP connection, for bytes that no library sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from tests.support.calls import LIMIT_SECONDS, compact
from tests.support.client import reset_transport
from tests.support.disclosure import note
from tests.support.servers import Server, token

MASK = b"\x5a\x01\xff\x80"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80


def frame(said: Any, opcode: int = TEXT, *, first: int = FIN, masked: bool = True) -> bytes:
    """A client's frame with these bytes, text or JSON; `first`: the other bits of its first
    byte."""
    if isinstance(said, dict):
        said = compact(said)
    payload = said.encode() if isinstance(said, str) else said
    header = bytes([first | opcode]) + length(len(payload), masked=masked)
    return header + MASK + covered(payload) if masked else header + payload


def length(size: int, *, masked: bool = True) -> bytes:
    """The field that announces so many bytes."""
    bit = 0x80 if masked else 0
    if size < 126:
        return bytes([bit | size])
    if size < 65536:
        return bytes([bit | 126]) + size.to_bytes(2)
    return bytes([bit | 127]) + size.to_bytes(8)


def covered(payload: bytes) -> bytes:
    """Under MASK."""
    mask = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(len(payload))


class Raw:
    """A connection that is open, with its `id` and its `secret`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.id = self.secret = ""

    def send(self, *frames: bytes) -> None:
        """In one segment, as far as the kernel likes."""
        if not self._writer.is_closing():
            self._writer.write(b"".join(frames))

    async def accepted(self) -> None:
        """Its handshake is answered, and what comes first is `hotsock.connected`."""
        async with asyncio.timeout(LIMIT_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        data = (await self.receive("hotsock.connected"))["data"]
        self.id, self.secret = data["connectionId"], data["connectionSecret"]
        note(self.secret)

    async def read(self) -> tuple[int, bytes]:
        """The opcode and the payload of the next frame."""
        async with asyncio.timeout(LIMIT_SECONDS):
            first, size = await self._reader.readexactly(2)
            assert first & 0xF0 == FIN, "a server's frames are whole"
            if size > 125:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            return first & 0x0F, await self._reader.readexactly(size)

    async def receive(self, event: str | None = None) -> dict[str, Any]:
        """The next frame, which must be a text, and an `event`."""
        opcode, payload = await self.read()
        assert opcode == TEXT, payload
        received: dict[str, Any] = json.loads(payload)
        assert event is None or received["event"] == event, payload
        return received

    async def closed(self, *, answer: bool = True) -> int:
        """The code of the next frame, a close frame: and after it nothing comes but the end.
        `answer`: the server closed first."""
        opcode, payload = await self.read()
        assert opcode == CLOSE, payload
        if answer:
            self.send(frame(payload, CLOSE))
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await self._reader.read() == b""
        return int.from_bytes(payload[:2])

    async def subscribe(self, channel: str) -> None:
        self.send(frame({"event": "hotsock.subscribe", "channel": channel}))
        await self.receive("hotsock.subscribed")

    async def pong(self) -> None:
        """Returns when all that was sent before has been handled; only that may have come."""
        self.send(frame({"event": "hotsock.ping"}))
        await self.receive("hotsock.pong")

    @property
    def port(self) -> int:
        port: int = self._writer.get_extra_info("sockname")[1]
        return port

    def leave(self) -> None:
        """Ends it: the kernel sends what was written, and then FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Ends it with RST."""
        reset_transport(self._writer.transport)


def upgrade(jwt: str) -> bytes:
    """The request of a handshake."""
    return (
        f"GET /v1?{urlencode({'token': jwt})} HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )


async def cut_handshake(server: Server, jwt: str) -> None:
    """Asks for a WebSocket and is gone before the answer."""
    async with asked(server, jwt=jwt) as opened:
        opened.reset()


@asynccontextmanager
async def raw(server: Server, **claims: Any) -> AsyncIterator[Raw]:
    """A connection opened with a token of these claims."""
    async with asked(server, **claims) as opened:
        await opened.accepted()
        yield opened


@asynccontextmanager
async def asked(server: Server, *, jwt: str | None = None, **claims: Any) -> AsyncIterator[Raw]:
    """As `raw`, but its handshake has not been answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    opened = Raw(reader, writer)
    opened.send(upgrade(jwt or token(server, **claims)))
    try:
        yield opened
    finally:
        writer.transport.abort()

"""Clients that record: every frame they get, with its time, in the order in which it came.

On a bare transport, so that one process drives many: a message costs some 3 µs. Judges nothing;
what the recordings must look like is for `checks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from tests.faults.crowd import request
from tests.support.calls import compact, http_client
from tests.support.grants import PASSING, STORED
from tests.support.servers import Server, token
from tests.support.waiting import PATIENCE_SECONDS, until

__all__ = ["PATIENCE_SECONDS", "until"]

FIRST_CEILING_SECONDS, MAX_CEILING_SECONDS = 1.0, 30.0  # the browser client's: backoff.js
PING = {"event": "hotsock.ping"}
MESSAGES = {
    "chat": {**STORED, "broadcast": True},
    "quiet": {**STORED, "echo": False, "broadcast": True},  # stored, no copy for its sender
    "typing": {**PASSING, "echo": True, "broadcast": True},
}
GRANTS = {"*": {"subscribe": True, "historyStart": 0, "getInfo": True, "messages": MESSAGES}}
TEXT, CLOSE, PING_FRAME, PONG_FRAME = 1, 8, 9, 10


class Frame(msgspec.Struct):
    """A frame of the server's; `data` stays JSON. `at` is when it came, by the monotonic clock."""

    event: str
    channel: str | None = None
    id: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    meta: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    at: float = 0.0

    @property
    def value(self) -> Any:
        return msgspec.json.decode(self.data)

    @property
    def sender(self) -> str | None:
        return (self.meta or {}).get("uid")


_decode = msgspec.json.Decoder(Frame).decode


class Refused(Exception):
    """The handshake was refused; `status` is the answer's, 0 where there was none."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection(asyncio.Protocol):
    """One WebSocket. `frames` is the whole recording; `code` its end, None while it is open."""

    def __init__(self, server: Server, uid: str) -> None:
        self.server = server
        self.uid = uid
        self.frames: list[Frame] = []
        self.code: int | None = None
        self.ended_at = 0.0
        self.on_frame: Callable[[Frame], object] = lambda frame: None
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._upgraded = False
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    # --- life -------------------------------------------------------------------------------

    @classmethod
    async def open(cls, server: Server, uid: str, **claims: Any) -> Connection:
        """Returns after `hotsock.connected`; raises Refused, also where nothing answers."""
        jwt = token(server, uid=uid, **{"channels": GRANTS, **claims})
        self = cls(server, uid)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: self, "127.0.0.1", server.port
                )
                self._transport.write(request(jwt))
                await self._accepted
            await until(lambda: self.frames or self.code is not None, "hotsock.connected")
        except OSError:
            self._let_go()
            raise Refused(0) from None
        except BaseException:
            self._let_go()
            raise
        if not self.frames:
            raise Refused(0)
        return self

    def _let_go(self) -> None:
        """Of a socket that nobody will hold."""
        if transport := getattr(self, "_transport", None):
            transport.abort()

    @property
    def open_(self) -> bool:
        return self.code is None

    @property
    def credentials(self) -> dict[str, str]:
        connected = self.frames[0].value
        return {
            "connectionId": connected["connectionId"],
            "connectionSecret": connected["connectionSecret"],
        }

    def close(self) -> None:
        """Without waiting for the server's answer."""
        if self.code is None:
            self._transport.write(_frame(b"\x03\xe8", CLOSE))
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.code is None:
            self.code = 1006
        self.ended_at = self.ended_at or time.monotonic()
        self.ended.set()
        if not self._accepted.done():
            self._accepted.set_exception(Refused(0))

    # --- frames -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._upgrade():
            return
        now, at, buffer = time.monotonic(), 0, self._buffer
        while (size := _size(buffer, at)) is not None:
            begin, end = size
            self._take(buffer[at] & 15, bytes(buffer[begin:end]), now)
            at = end
        del buffer[:at]

    def _upgrade(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            if not self._accepted.done():
                self._accepted.set_exception(Refused(status))
            self._transport.abort()
            return False
        self._buffer = bytearray(rest)
        self._upgraded = True
        if not self._accepted.done():  # else whoever opened it has given up
            self._accepted.set_result(None)
        return True

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == TEXT:
            frame = _decode(payload)
            frame.at = now
            self.frames.append(frame)
            self.on_frame(frame)
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2]) if payload else 1005
            self.ended_at = now
            self._transport.write(_frame(payload, CLOSE))
            self._transport.close()
        elif opcode == PING_FRAME:
            self._transport.write(_frame(payload, PONG_FRAME))

    def send(self, **frame: Any) -> None:
        self._transport.write(_frame(compact(frame).encode(), TEXT))

    # --- what clients do --------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        self.send(event="hotsock.subscribe", channel=channel)
        await self.answer("hotsock.subscribed", channel)

    async def answer(self, event: str, channel: str | None = None) -> Frame:
        """The frame of that name, from now on; fails where the connection ends or it is refused."""
        start = len(self.frames)
        found: list[Frame] = []

        def came() -> bool:
            nonlocal start
            new, start = self.frames[start:], len(self.frames)
            found.extend(f for f in new if (f.event, f.channel) == (event, channel))
            return bool(found) or self.code is not None

        await until(came, f"{event} of {self.uid}")
        if not found:
            raise Refused(self.code or 0)
        return found[0]

    def publish(self, channel: str, data: Any, event: str = "chat") -> None:
        self.send(event=event, channel=channel, data=data)

    async def pinged(self) -> float:
        """Seconds until the server answers a ping."""
        begun = time.monotonic()
        self.send(**PING)
        return (await self.answer("hotsock.pong")).at - begun

    def heard(self, channel: str, event: str = "chat") -> list[Frame]:
        return [frame for frame in self.frames if (frame.event, frame.channel) == (event, channel)]

    def ids(self, channel: str, event: str = "chat") -> list[str]:
        """Of what it got live, in the order in which it came."""
        return [frame.id for frame in self.heard(channel, event) if frame.id]


async def history(http: httpx.AsyncClient, connection: Connection, channel: str, after: str = ""):
    """Messages above an id, page by page, as clients read them; httpx errors where it fails."""
    found: list[dict[str, Any]] = []
    while True:
        body = {"channel": channel} | ({"after": after} if after else {})
        answer = await call(http, connection, "listMessages", body)
        answer.raise_for_status()
        page = json.loads(answer.text)["messages"]
        found += page
        if len(page) < 100:
            return found
        after = page[-1]["id"]


async def call(http: httpx.AsyncClient, connection: Connection, operation: str, body: Any):
    return await http.post(
        f"/connection/{operation}?{urlencode(connection.credentials)}", content=compact(body)
    )


async def whole_history(server: Server, channel: str) -> list[str]:
    """The ids of a channel's messages, as a new client reads them."""
    connection = await Connection.open(server, "historian")
    await connection.subscribe(channel)
    try:
        async with http_client(server) as http:
            return [message["id"] for message in await history(http, connection, channel)]
    finally:
        connection.close()


def pause(failures: int) -> float:
    """Seconds that a client waits which has failed so often since it was connected."""
    if failures == 0:
        return 0.0
    return random.uniform(
        0.0, min(MAX_CEILING_SECONDS, FIRST_CEILING_SECONDS * 2 ** (failures - 1))
    )


class Follower:
    """A client that comes back, and catches up by `listMessages after=` as the browser's does: at
    once after a close, then later and later.

    `known` holds the ids it has, in the order in which it would show them; `lives` all its
    connections, the last one the present one; `away` the seconds it was not caught up each time.
    """

    def __init__(self, server: Callable[[], Server], uid: str, channel: str) -> None:
        self._server = server
        self.uid = uid
        self.channel = channel
        self.lives: list[Connection] = []
        self.known: dict[str, None] = {}
        self.away: list[float] = []
        self._failures = 0
        self._lost_at: float | None = None
        self._caught_up = False

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[Follower]:
        task = asyncio.create_task(self._run())
        try:
            await until(lambda: self._caught_up or task.done(), f"{self.uid} subscribed")
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def caught_up(self) -> bool:
        return self._caught_up and self.lives[-1].open_

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(Refused, httpx.HTTPError):
                await self._live(await Connection.open(self._server(), self.uid))
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        earlier, self._failures = self._failures, self._failures + 1
        return pause(earlier)

    async def _live(self, connection: Connection) -> None:
        self.lives.append(connection)
        try:
            await connection.subscribe(self.channel)
            await self._catch_up(connection)
            await connection.ended.wait()
            self._lost_at = connection.ended_at
        finally:
            self._caught_up = False
            connection.close()

    async def _catch_up(self, connection: Connection) -> None:
        last = next(reversed(self.known), "")
        async with http_client(connection.server) as http:
            page = await history(http, connection, self.channel, last)
        self.known |= dict.fromkeys(message["id"] for message in page)
        self.known |= dict.fromkeys(connection.ids(self.channel))
        connection.on_frame = self._note
        if self._lost_at is not None:
            self.away.append(time.monotonic() - self._lost_at)
        self._caught_up, self._failures, self._lost_at = True, 0, None

    def _note(self, frame: Frame) -> None:
        if frame.event == "chat" and frame.id:
            self.known[frame.id] = None


class Publisher:
    """Publishes `[uid, n]` on a connection, and knows what became of each.

    `acknowledged` are the ids of its echoes or, with a `witness`, of what that other subscriber
    has got of it; `refused` counts errors. At most `window` wait for their answer.
    """

    @classmethod
    async def open(cls, server: Server, uid: str, channel: str, window: int = 1) -> Publisher:
        """Connected and subscribed: only subscribers get a copy of what they send."""
        connection = await Connection.open(server, uid)
        await connection.subscribe(channel)
        return cls(connection, channel, window)

    def __init__(
        self,
        connection: Connection,
        channel: str,
        window: int = 1,
        witness: Connection | None = None,
    ) -> None:
        self.connection = connection
        self.channel = channel
        self.window = window
        self.sent = 0
        self.acknowledged: list[str] = []
        self.refused = 0
        self.latencies: list[float] = []
        self._times: dict[int, float] = {}
        connection.on_frame = self._note
        if witness is not None:
            witness.on_frame = self._note

    @property
    def waiting(self) -> int:
        return self.sent - len(self.acknowledged) - self.refused

    async def publish(self, count: int, pause: float = 0.0) -> None:
        """Until so many more are sent and answered, or the connection has ended."""
        for _ in range(count):
            await until(self._may_send, f"an answer to {self.connection.uid}")
            if not self.connection.open_:
                return
            self._times[self.sent] = time.monotonic()
            self.connection.publish(self.channel, [self.connection.uid, self.sent])
            self.sent += 1
            if pause:
                await asyncio.sleep(pause)
        await until(lambda: not self.waiting or not self.connection.open_, "the last answers")

    async def publish_for_ever(self, pause: float = 0.0) -> None:
        while self.connection.open_:
            await self.publish(100, pause)

    def _may_send(self) -> bool:
        return self.waiting < self.window or not self.connection.open_

    def _note(self, frame: Frame) -> None:
        if frame.event == "chat" and frame.id and frame.sender == self.connection.uid:
            if sent_at := self._times.pop(frame.value[1], None):  # else it came twice
                self.acknowledged.append(frame.id)
                self.latencies.append(frame.at - sent_at)
        elif frame.event == "hotsock.error":
            self.refused += 1


def _frame(payload: bytes, opcode: int) -> bytes:
    """Masked, as a client's must be, with the mask that changes nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def _size(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and ends; None while it is incomplete."""
    if len(buffer) < at + 2:
        return None
    size, begin = buffer[at + 1] & 127, at + 2
    if size > 125:
        width = 2 if size == 126 else 8
        if len(buffer) < begin + width:
            return None
        size, begin = int.from_bytes(buffer[begin : begin + width]), begin + width
    return (begin, begin + size) if len(buffer) >= begin + size else None

"""Ready frames straight to the transport: what one connection gets within one turn of the event
loop, replies and broadcasts in their order, is joined and written once (design.md section 4).

The server offers a Socket in the ASGI scope; where it does not, `AsgiSendQueue` sends the same
frames.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Protocol

from chat.fanout.batch import Flusher, Lane, bytes_of, frames_of
from chat.fanout.send_queue import BEHIND_BYTES, MAX_STALL_SECONDS, MAX_UNSENT_BYTES
from chat.protocol.errors import CLOSE_REASONS, CloseCode
from chat.protocol.events import Event

EXTENSION: Final = "chat.direct"
PING_SECONDS: Final = 10
"""A client that does not answer a WebSocket ping until the next one is gone."""
PORTION_BYTES: Final = 64 * 1024
"""What is written at once: beyond it the transport says whether the client reads."""


class Receiver(Protocol):
    """What hears a connection's frames."""

    def receive(self, sent: Iterable[str | bytes]) -> None:
        """Whole frames, in their order; bytes: a binary one."""

    def end(self) -> None:
        """No more frames come, and none can be sent."""


class Socket(Protocol):
    """An open WebSocket, as its server holds it."""

    @property
    def transport(self) -> asyncio.Transport: ...

    def open(self, receiver: Receiver, send_queue: "SendQueue") -> None:
        """From now on what comes goes to `receiver`, and `send_queue` is told when to hold frames
        back."""

    def send_close(self, code: int, reason: str) -> None:
        """Ends the connection behind what was written."""

    def abort(self) -> None:
        """Ends it at once."""

    def ping(self) -> bool:
        """Asks whether the client is there; False where the ping before has not been answered:
        then the connection is ended."""

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...


def socket_of(scope: Any) -> Socket | None:
    """The socket of a handshake, where its server offers it."""
    found: Socket | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


class SendQueue:
    """As `send_queue.AsgiSendQueue`: frames go out in the order in which they were pushed, at most
    MAX_UNSENT_BYTES are kept for who does not read, and no byte waits MAX_STALL_SECONDS.

    While the transport holds more than it wants, frames stay here, so that what is dropped of a
    slow reader's are whole frames and its close code comes next.
    """

    __slots__ = (
        "_close",
        "_held",
        "_held_bytes",
        "_lane",
        "_parts",
        "_paused",
        "_queued",
        "_room",
        "_socket",
        "_stuck",
        "_transport",
        "_written",
        "closing",
        "ended",
        "flusher",
        "sent_at",
    )

    def __init__(self, socket: Socket, flusher: Flusher) -> None:
        self._socket = socket
        self._transport = socket.transport
        self.flusher = flusher
        self._parts: list[bytes | Lane] = []  # of this turn
        self._lane: Lane | None = None  # the last of them, while it may be open
        self._queued = False
        self._held: list[bytes] | None = None  # of turns before, while the transport is full
        self._held_bytes = 0
        self._paused = False
        self._room: asyncio.Event | None = None
        self._written = 0  # bytes, in all
        self._stuck: tuple[int, float] | None = None  # how many of them had left, and since when
        self.sent_at = flusher.now()  # when a frame was last written; by the loop's clock
        self._close: int | None = None
        self.closing = False  # its end has been decided: what the client still sends does not count
        self.ended = False  # nothing more will be sent

    @property
    def close_code(self) -> int | None:
        """With which code the server ended it; None where it did not."""
        return self._close

    @property
    def behind(self) -> bool:
        """Whether so much is unsent that what is told to many should wait."""
        return self._paused and self._unsent > BEHIND_BYTES

    @property
    def _unsent(self) -> int:
        return self._held_bytes + self._transport.get_write_buffer_size()

    def push(self, event: Event) -> None:
        self.put(event.frame)

    def put(self, frame: bytes) -> None:
        if not self.closing:
            if self._lane is not None:
                self._seal(self._lane)
            self._parts.append(frame)
            if not self._queued:
                self._queued = True
                self.flusher.add(self)

    def follow(self, lane: Lane) -> None:
        """As `push`, for what the lane has and what it gets while nothing else is pushed."""
        if not self.closing:
            if self._lane is not None:
                self._lane.open = False
            self._lane = lane
            self._parts.append(lane)
            if not self._queued:
                self._queued = True
                self.flusher.add(self)

    def _seal(self, lane: Lane) -> None:
        lane.open = False
        self._lane = None

    def flush(self, now: float) -> None:
        """Writes what was pushed in this turn, as far as the transport takes it."""
        self._queued = False
        parts = self._parts
        if not parts:
            return
        if self._lane is not None:
            self._seal(self._lane)
        if self._paused:
            self._hold()
            return
        data = bytes_of(parts[0]) if len(parts) == 1 else b"".join(map(bytes_of, parts))
        if len(data) > PORTION_BYTES:
            self._write_portions()
        else:
            parts.clear()
            self._write(data)
        self.sent_at = now

    def pause(self) -> None:
        """The transport holds more than it wants."""
        self._paused = True

    def resume(self) -> None:
        """The transport has sent most of what it held."""
        self._paused = False
        if self._held is not None:
            self._parts, self._held, self._held_bytes = [*self._held, *self._parts], None, 0
        self.flush(self.flusher.now())
        if not self._paused:
            if self._room is not None:
                self._room.set()
            self._say_close()

    async def room(self) -> None:
        """Waits, where half of what may be unsent is, until most of it has been sent: for whoever
        has much to say to one connection."""
        self.flush(self.flusher.now())
        if self._paused and self._unsent > MAX_UNSENT_BYTES // 2 and not self.ended:
            if self._room is None or self._room.is_set():
                self._room = asyncio.Event()
            await self._room.wait()

    def close(self, code: int) -> None:
        """Ends the connection once what was pushed before has been sent."""
        if self.closing:
            return
        self._close, self.closing = code, True
        self.flush(self.flusher.now())
        if not self._paused:
            self._say_close()

    def stalled(self) -> bool:
        """Closes a connection of which a byte has waited too long; says whether it did. Asked each
        second."""
        unsent = self._transport.get_write_buffer_size()
        if not unsent or self.ended:
            self._stuck = None
            return False
        now, left = self.flusher.now(), self._written - unsent
        if self._stuck is None or left > self._stuck[0]:
            self._stuck = left, now
        if now - self._stuck[1] < MAX_STALL_SECONDS:
            return False
        if self._close is not None:  # not even the close frame leaves
            self.abandon()
        else:
            self._drop()
        return True

    def abandon(self) -> None:
        """Sends nothing more, not even a close frame, and ends the connection."""
        self.end()
        self._socket.abort()

    def ping(self) -> bool:
        """See Socket; asked in vain where much is on its way, which shows as well whether it is
        read."""
        return self._paused or self._socket.ping()

    def end(self) -> None:
        """The connection has ended."""
        self.closing = self.ended = True
        self._forget()
        if self._room is not None:
            self._room.set()

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._transport.write(data)

    def _write_portions(self) -> None:
        """Until the transport is full; the rest is held."""
        frames, self._parts = list(frames_of(self._parts)), []
        portion: list[bytes] = []
        size = 0
        for index, frame in enumerate(frames):
            portion.append(frame)
            size += len(frame)
            if size > PORTION_BYTES:
                self._write(b"".join(portion))
                portion, size = [], 0
                if self._paused:
                    self._parts = [*frames[index + 1 :]]
                    self._hold()
                    return
        self._write(b"".join(portion))

    def _hold(self) -> None:
        if self._parts:
            held = b"".join(map(bytes_of, self._parts))
            self._parts.clear()
            if self._held is None:
                self._held = []
            self._held.append(held)
            self._held_bytes += len(held)
            if self._unsent > MAX_UNSENT_BYTES:
                self._drop()

    def _drop(self) -> None:
        """Reads too slowly: what is unsent goes, but for what the transport has."""
        self._forget()
        self._close, self.closing = CloseCode.TOO_SLOW, True
        self._say_close()

    def _forget(self) -> None:
        self._parts.clear()
        if self._lane is not None:
            self._seal(self._lane)
        self._held, self._held_bytes = None, 0

    def _say_close(self) -> None:
        if self._close is not None and not self.ended:
            self.ended = True
            self._socket.send_close(self._close, CLOSE_REASONS.get(self._close, ""))

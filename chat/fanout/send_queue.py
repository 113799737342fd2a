"""One connection's unsent frames, bounded in bytes and seconds (promise P6).

Pushing never waits and never raises, so that no subscriber holds up another. What one connection
gets within one turn of the event loop, replies and broadcasts in their order, is joined and written
once; what many get at once is joined once for all of them (docs/decisions/0003-shared-batches.md).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from chat.counts import counts
from chat.protocol.errors import CLOSE_REASONS, CloseCode
from chat.protocol.events import Event

log = logging.getLogger("chat.send_queue")

MAX_UNSENT_BYTES: Final = 4 * 1024 * 1024
# More than so much is unsent for a moment only, and while the client reads. One that reads 4 MB/s
# and is sent less in any second is below it again within the second; of a kernel that holds 4 MB it
# is seen each third of a second that it reads.
MAX_LASTING_BYTES: Final = 1024 * 1024
MAX_LASTING_SECONDS: Final = 2.0
MAX_PAUSE_SECONDS: Final = 0.5
BEHIND_BYTES: Final = 128 * 1024
MAX_STALL_SECONDS: Final = 5.0
PORTION_BYTES: Final = 64 * 1024  # written at once; then the transport says if the client reads
MAX_WRITTEN_AT_ONCE: Final = 2  # queues that are flushed without another turn of the event loop

# --- ports: what a server offers, and what it calls ---------------------------------------------


class Transport(Protocol):
    """Takes whole WebSocket frames, joined; tells how many bytes it still holds."""

    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Receiver(Protocol):
    """Hears a connection's frames."""

    def receive(self, frames: Collection[str | bytes]) -> None:
        """Whole frames in their order; bytes: a binary one."""

    def charge(self) -> bool:
        """Counts a frame that is no message: a ping, a pong, a fragment. False: a ping is not
        answered."""

    def end(self, code: int) -> None:
        """No more frames come, and none can be sent; the close code with which the client or the
        server ended it."""


EXTENSION: Final = "chat.socket"
"""The ASGI extension in which a server offers the Socket of a handshake."""


class Socket(Protocol):
    """An open WebSocket, as its server holds it."""

    @property
    def transport(self) -> Transport: ...

    @property
    def received(self) -> int:
        """Bytes of frames that have come, in all."""

    def open(self, receiver: Receiver, send_queue: "SendQueue") -> None:
        """From now on frames go to `receiver`, and `send_queue` is paused while the transport is
        full."""

    def send_close(self, code: int, reason: str) -> None:
        """Ends the connection after what was written."""

    def abort(self) -> None:
        """Ends it at once."""

    def ping(self) -> bool:
        """Sends a WebSocket ping. False, and the connection is ended, where the last one was not
        answered."""

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...


# --- one turn of the event loop -----------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Batch:
    """What all subscribers of a channel get within one turn with nothing between: joined once for
    all of them.

    While it is `open`, a frame added to `frames` is the next one for each of them.
    """

    frames: list[bytes]  # some of them joined
    number: int  # of frames
    open: bool = True
    data: bytes | None = None  # its frames as one, once it is joined

    def joined(self) -> bytes:
        """Its frames as one; it is closed."""
        if self.data is None:
            self.open = False
            self.data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        return self.data

    def clear(self) -> None:
        """Everyone has it."""
        self.open = False
        self.frames, self.data = [], None


@dataclass(slots=True, eq=False)
class Flusher:
    """The send queues that have something to write in this turn of the event loop."""

    _loop: asyncio.AbstractEventLoop
    # Until `release`, which comes in this call of the event loop's.
    held: bool = field(init=False, default=False)
    _queues: "list[SendQueue]" = field(init=False, default_factory=list)
    _batches: list[Batch] = field(init=False, default_factory=list)
    _alone: Batch | None = field(init=False, default=None)  # the turn has nothing else so far
    _audience: "Collection[SendQueue]" = field(init=False, default=())  # its queues
    _scheduled: bool = field(init=False, default=False)

    def batch(self, frames: bytes, number: int, queues: "Collection[SendQueue]") -> Batch:
        """Pushes a batch of so many frames to several queues; while it is alone, none of them has
        to know."""
        self._schedule()
        batch = Batch([frames], number)
        self._batches.append(batch)
        if self._alone is not None:
            self.settle()
        if self._queues:
            for queue in queues:
                queue.push_batch(batch)
        else:
            self._alone, self._audience = batch, queues
        return batch

    def settle(self) -> None:
        """Pushes the batch that is alone, before anything else comes."""
        batch, self._alone = self._alone, None
        audience, self._audience = self._audience, ()
        if batch is not None:
            for queue in audience:
                queue.push_batch(batch)

    def now(self) -> float:
        return self._loop.time()

    def add(self, queue: "SendQueue") -> None:
        """Before the first frame of this turn is pushed to it."""
        if self._alone is not None:
            self.settle()
        if not self.held:
            self._schedule()
        self._queues.append(queue)

    def release(self) -> None:
        """A few queues are flushed now: another turn of the event loop would take longer. More
        wait for what else this turn brings."""
        self.held = False
        if self._batches or len(self._queues) > MAX_WRITTEN_AT_ONCE:
            self._schedule()
        elif self._queues and not self._scheduled:
            self._flush()

    def _schedule(self) -> None:
        if not (self._scheduled or self.held):
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._alone is not None and len(self._alone.joined()) > PORTION_BYTES:
            self.settle()
        self._scheduled = False
        now, alone, self._alone = self._loop.time(), self._alone, None
        data, number = (b"", 0) if alone is None else (alone.joined(), alone.number)
        queues, self._queues = self._queues if alone is None else self._audience, []
        batches, self._batches, self._audience = self._batches, [], ()
        for queue in queues:
            try:
                if alone is None:
                    queue.flush(now)
                else:
                    queue.write(data, number, now)
            except Exception:  # the outermost edge: the other queues come next
                log.exception("Frames could not be written to a connection")
                queue.abandon()
        for batch in batches:
            batch.clear()


# --- one connection -----------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Backlog:
    """What waits while the transport is full: the same bytes as in the other queues that keep
    them."""

    taken_at: float  # when the transport last took something
    frames: deque[bytes] = field(default_factory=deque)
    size: int = 0
    large_since: float | None = None  # when more than MAX_LASTING_BYTES began to be unsent


@dataclass(slots=True, eq=False)
class SendQueue:
    """Frames leave in the order in which they were pushed. At most MAX_UNSENT_BYTES are kept for a
    client that reads slowly, no more than MAX_LASTING_BYTES for MAX_LASTING_SECONDS or for one that
    pauses for MAX_PAUSE_SECONDS, and no byte waits MAX_STALL_SECONDS.

    While the transport is full, frames stay here, so that what is dropped of a slow reader's are
    whole frames and its close code comes next.
    """

    _socket: Socket
    flusher: Flusher
    sent_at: float = field(init=False)  # when a frame was last written; by the loop's clock
    close_code: int | None = field(init=False, default=None)  # with which the server ends it
    closing: bool = field(init=False, default=False)  # what the client still sends does not count
    ended: bool = field(init=False, default=False)  # nothing more will be sent
    _transport: Transport = field(init=False)
    _parts: list[bytes | Batch] = field(init=False, default_factory=list)  # of this turn
    _batch: Batch | None = field(init=False, default=None)  # the last of them, while open
    _queued: bool = field(init=False, default=False)
    _backlog: Backlog | None = field(init=False, default=None)  # while the transport is full
    _paused: bool = field(init=False, default=False)
    _room: asyncio.Event | None = field(init=False, default=None)
    _written: int = field(init=False, default=0)  # bytes, in all
    frames: int = field(init=False, default=0)  # that were pushed or written, in all
    # How many of them had left, and since when no more have.
    _stuck: tuple[int, float] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._transport = self._socket.transport
        self.sent_at = self.flusher.now()

    @property
    def behind(self) -> bool:
        """Whether so much is unsent that broadcasts to many should wait."""
        return self._paused and self._unsent > BEHIND_BYTES

    @property
    def written(self) -> int:
        """Bytes of frames, in all."""
        return self._written

    @property
    def received(self) -> int:
        """See Socket."""
        return self._socket.received

    @property
    def unsent(self) -> int:
        """Bytes that wait for a client that reads slowly; 0 while the transport takes all."""
        return self._unsent if self._paused else 0

    @property
    def _unsent(self) -> int:
        kept = self._backlog.size if self._backlog is not None else 0
        return kept + self._transport.get_write_buffer_size()

    # --- pushing ----------------------------------------------------------------------------

    def push(self, event: Event) -> None:
        counts.replies += 1
        self.push_frame(event.frame)

    def push_frame(self, frame: bytes, number: int = 1) -> None:
        """`frame` may be so many, joined."""
        if not self.closing:
            self.frames += number
            if not self._queued:
                self._queued = True
                self.flusher.add(self)
            if self._batch is not None:
                self._seal(self._batch)
            self._parts.append(frame)

    def push_batch(self, batch: Batch) -> None:
        """The batch's frames, and those that it gets while nothing else is pushed."""
        if not self.closing:
            if self._batch is not None:
                self._seal(self._batch)
            self._batch = batch
            self._parts.append(batch)
            if not self._queued:
                self._queued = True
                self.flusher.add(self)

    def _seal(self, batch: Batch) -> None:
        batch.open = False
        self.frames += batch.number
        self._batch = None

    async def room(self) -> None:
        """Waits, where half of MAX_LASTING_BYTES is unsent, until most of it has left: for a caller
        that has much to send to one connection."""
        self.flush(self.flusher.now())
        if self._paused and self._unsent > MAX_LASTING_BYTES // 2 and not self.ended:
            if self._room is None or self._room.is_set():
                self._room = asyncio.Event()
            await self._room.wait()

    # --- writing ----------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        """Writes what was pushed in this turn, as far as the transport takes it."""
        self._queued = False
        if not self._parts:
            self.flusher.settle()
        parts = self._parts
        if not parts:
            return
        if self._batch is not None:
            self._seal(self._batch)
        if not self._paused:
            self.sent_at = now
            data = parts[0] if len(parts) == 1 else b"".join(map(_joined, parts))
            if isinstance(data, Batch):
                data = data.joined()
            if len(data) <= PORTION_BYTES:
                parts.clear()
                self._written += len(data)
                self._transport.write(data)
                return
        self._keep(now)
        self._write_kept()
        if not self.closing and self._is_too_much(now):
            self._drop()

    def write(self, data: bytes, number: int, now: float) -> None:
        """Writes all that it gets in this turn, so many frames, at most PORTION_BYTES."""
        if self.closing:
            return
        self.frames += number
        if self._paused:
            self._parts.append(data)
            self.flush(now)
        else:
            self.sent_at = now
            self._written += len(data)
            self._transport.write(data)

    def pause(self) -> None:
        """The transport is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport has sent most of what it held."""
        self._paused = False
        self.sent_at = self.flusher.now()
        if self._backlog is not None:
            self._backlog.taken_at = self.sent_at
        self._write_kept()
        if not self._paused:
            self.flush(self.sent_at)
        if not self._paused:
            if self._room is not None:
                self._room.set()
            self._send_close()

    def _keep(self, now: float) -> None:
        """All that was pushed; a batch's frames as they are, for they are others', too."""
        if self._backlog is None:
            self._backlog = Backlog(now)
        for part in self._parts:
            joined = _joined(part)
            if isinstance(part, Batch) and len(joined) > PORTION_BYTES:
                self._backlog.frames.extend(part.frames)
            else:
                self._backlog.frames.append(joined)
            self._backlog.size += len(joined)
        self._parts.clear()

    def _write_kept(self) -> None:
        """In portions, until the transport is full."""
        backlog = self._backlog
        while backlog is not None and not self._paused:
            portion: list[bytes] = []
            size = 0
            while backlog.frames and size <= PORTION_BYTES:
                portion.append(backlog.frames.popleft())
                size += len(portion[-1])
            backlog.size -= size
            self._written += size
            self._transport.write(b"".join(portion))
            if not backlog.frames:
                self._backlog = backlog = None
            elif self._unsent <= MAX_LASTING_BYTES:
                backlog.large_since = None

    def _is_too_much(self, now: float) -> bool:
        backlog, unsent = self._backlog, self._unsent
        if backlog is None or unsent <= MAX_LASTING_BYTES:
            return False
        if backlog.large_since is None:
            backlog.large_since = now
        return (
            unsent > MAX_UNSENT_BYTES
            or now - backlog.large_since >= MAX_LASTING_SECONDS
            or now - backlog.taken_at >= MAX_PAUSE_SECONDS
        )

    # --- its end ----------------------------------------------------------------------------

    def close(self, code: int) -> None:
        """Ends the connection once what was pushed before has been sent."""
        if self.closing:
            return
        self.flusher.settle()
        self.close_code, self.closing = code, True
        self.flush(self.flusher.now())
        if not self._paused:
            self._send_close()

    def check_stalled(self) -> bool:
        """Closes a connection of which a byte, or many, have waited too long; says whether it did.
        Called each second."""
        unsent = self._transport.get_write_buffer_size()
        if not unsent or self.ended:
            self._stuck = None
            return False
        now, left = self.flusher.now(), self._written - unsent
        if self.close_code is None and self._is_too_much(now):
            self._drop()
            return True
        if self._stuck is None or left > self._stuck[0]:
            self._stuck = left, now
        if now - self._stuck[1] < MAX_STALL_SECONDS:
            return False
        if self.close_code is not None:  # not even the close frame leaves
            self.abandon()
        else:
            self._drop()
        return True

    def ping(self) -> bool:
        """As a Socket's. Where much is unsent, that shows as well whether the client reads."""
        return self._paused or self._socket.ping()

    def abandon(self) -> None:
        """Sends nothing more, not even a close frame, and ends the connection."""
        self.end()
        self._socket.abort()

    def end(self) -> None:
        """The connection has ended."""
        self.closing = self.ended = True
        self._forget()
        if self._room is not None:
            self._room.set()

    def _drop(self) -> None:
        """Reads too slowly: all that is unsent is dropped, but for what the transport holds."""
        self._forget()
        self.close_code, self.closing = CloseCode.TOO_SLOW, True
        self._send_close()

    def _forget(self) -> None:
        self._parts.clear()
        if self._batch is not None:
            self._seal(self._batch)
        self._backlog = None

    def _send_close(self) -> None:
        if self.close_code is not None and not self.ended:
            self.ended = True
            self._socket.send_close(self.close_code, CLOSE_REASONS.get(self.close_code, ""))


def _joined(part: bytes | Batch) -> bytes:
    if isinstance(part, Batch):
        return part.data or part.joined()
    return part

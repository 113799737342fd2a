"""What this turn of the event loop has for many: lanes, and the send queues that are to be flushed
(docs/decisions/0003-lanes.md)."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

log = logging.getLogger("chat.transport")

FEW: Final = 2


class Lane:
    """What all who listen to a channel get within one turn with nothing between: kept and joined
    once for them all, whatever their number.

    While it is `open`, what is put into `frames` comes for each of them next.
    """

    __slots__ = ("_joined", "frames", "open")

    def __init__(self, frame: bytes) -> None:
        self.frames = [frame]
        self.open = True
        self._joined: bytes | None = None

    def joined(self) -> bytes:
        """Its frames; there will be no others."""
        if self._joined is None:
            self.open = False
            self._joined = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        return self._joined

    def end(self) -> None:
        """Everyone has it."""
        self.open = False
        self.frames, self._joined = [], None


class Sender(Protocol):
    """An send_queue with something to send."""

    def flush(self, now: float) -> None: ...
    def abandon(self) -> None: ...


class Flusher:
    """The send queues that have something to send in this turn of the event loop."""

    __slots__ = ("_held", "_lanes", "_loop", "_scheduled", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Sender] = []
        self._lanes: list[Lane] = []
        self._scheduled = False
        self._held = False

    def lane(self, frame: bytes) -> Lane:
        """For this turn, to be followed by send queues at once."""
        self._schedule()
        lane = Lane(frame)
        self._lanes.append(lane)
        return lane

    def now(self) -> float:
        return self._loop.time()

    def add(self, send_queue: Sender) -> None:
        self._schedule()
        self._waiting.append(send_queue)

    def hold(self) -> None:
        """Until `let_go`, which comes in this call of the event loop's."""
        self._held = True

    def let_go(self) -> None:
        """What few send queues have is written now: another turn of the loop would take longer.
        What is for more waits for what else this turn brings."""
        self._held = False
        if self._lanes or len(self._waiting) > FEW:
            self._schedule()
        elif self._waiting and not self._scheduled:
            self._flush()

    def _schedule(self) -> None:
        if not (self._scheduled or self._held):
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        lanes, self._lanes = self._lanes, []
        now = self._loop.time()
        for send_queue in waiting:
            try:
                send_queue.flush(now)
            except Exception:  # the outermost edge: the others' come next
                log.exception("What a connection was to get could not be written")
                send_queue.abandon()
        for lane in lanes:
            lane.end()


def bytes_of(part: bytes | Lane) -> bytes:
    """All of it, joined."""
    return part.joined() if isinstance(part, Lane) else part


def frames_of(parts: Iterable[bytes | Lane]) -> Iterator[bytes]:
    """Each of theirs."""
    for part in parts:
        if isinstance(part, Lane):
            part.open = False
            yield from part.frames
        else:
            yield part

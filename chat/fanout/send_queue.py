"""One connection's unsent frames, bounded: whoever reads too slowly is closed (promise P6).

Pushing never waits and never raises, so that no subscriber holds up another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from chat.protocol.errors import CLOSE_REASONS, CloseCode
from chat.protocol.events import Event

MAX_UNSENT_BYTES: Final = 1024 * 1024
BEHIND_BYTES: Final = 128 * 1024
MAX_STALL_SECONDS: Final = 5.0

Send = Callable[[Any], Awaitable[None]]


class AsgiSendQueue:
    """Frames go out in the order in which they were pushed, through the ASGI `send`.

    What fits is sent at once; the rest waits. `abort` is called where not even a close frame can
    be sent any more: it must end the connection.
    """

    __slots__ = (
        "_abort",
        "_close",
        "_draining",
        "_loop",
        "_send",
        "_unsent",
        "_waiting",
        "ended",
        "sent_at",
    )

    def __init__(self, send: Send, abort: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._abort = abort
        # What must wait does so as bytes: an event keeps its text, too, which doubles it.
        self._waiting: deque[Event | bytes] = deque()
        self._unsent = 0
        self.sent_at = 0.0  # when a frame last left, or began to wait; by the loop's clock
        self._draining: asyncio.Task[None] | None = None
        self._close: int | None = None
        self.ended = False  # nothing more will be sent

    @property
    def closing(self) -> bool:
        """Whether its end has been decided: what the client still sends does not count."""
        return self._close is not None or self.ended

    @property
    def close_code(self) -> int | None:
        """With which code the server ended it; None where it did not."""
        return self._close

    @property
    def behind(self) -> bool:
        """Whether so much is unsent that what is told to many should wait."""
        return self._unsent > BEHIND_BYTES

    def push(self, event: Event) -> None:
        if self.closing:
            return
        self._waiting.append(event if self._draining is None else event.payload)
        self._unsent += len(event.payload)
        if self._unsent > MAX_UNSENT_BYTES:
            self._drop(CloseCode.TOO_SLOW)
        elif self._draining is None:
            self._start()

    async def room(self) -> None:
        """Waits, where half of what may be unsent is, until all of it has been sent: for whoever
        has much to say to one connection."""
        if self._draining is not None and self._unsent > MAX_UNSENT_BYTES // 2:
            await asyncio.wait([self._draining])

    def close(self, code: int) -> None:
        """Ends the connection once what was pushed before has been sent."""
        if not self.closing:
            self._close = code
            if self._draining is None:
                self._start()

    def stalled(self) -> bool:
        """Closes a connection of which a byte has waited too long; says whether it did."""
        if self._draining is None or self._loop.time() - self.sent_at < MAX_STALL_SECONDS:
            return False
        if self._close is not None:  # not even the close frame leaves
            self.abandon()
        else:
            self._drop(CloseCode.TOO_SLOW)
        return True

    def ping(self) -> bool:
        """See SendQueue; a plain ASGI server pings its clients itself."""
        return True

    def abandon(self) -> None:
        """Sends nothing more, not even a close frame, and ends the connection."""
        self._end()
        if self._draining is not None:
            self._draining.cancel()
        self._abort()

    def _end(self) -> None:
        self._waiting.clear()
        self.ended = True

    def _drop(self, code: int) -> None:
        self._waiting.clear()
        self._unsent = 0
        self.sent_at = self._loop.time()
        self.close(code)

    def _start(self) -> None:
        """Sends now, as far as the transport takes it; a task only where it does not."""
        self.sent_at = self._loop.time()
        task = asyncio.Task(self._drain(), loop=self._loop, eager_start=True)
        self._draining = None if task.done() else task

    async def _drain(self) -> None:
        try:
            while self._waiting:
                size, text = _size_and_text(self._waiting.popleft())
                await self._send({"type": "websocket.send", "text": text})
                self._unsent = max(0, self._unsent - size)
                self.sent_at = self._loop.time()
            if self._close is not None:
                reason = CLOSE_REASONS.get(self._close, "")
                await self._send({"type": "websocket.close", "code": self._close, "reason": reason})
                self._end()
        except Exception:  # the client is gone: each server says so with an exception of its own
            self._end()
        finally:
            self._draining = None


def _size_and_text(frame: Event | bytes) -> tuple[int, str]:
    if isinstance(frame, bytes):
        return len(frame), frame.decode()
    return len(frame.payload), frame.text

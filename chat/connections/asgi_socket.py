"""A WebSocket over plain ASGI, for servers that do not offer theirs: frames out through `send`, in
through `receive`. Nothing here knows what a frame says."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final

from chat.fanout.send_queue import MAX_STALL_SECONDS, Receiver, SendQueue
from chat.protocol.errors import LOST
from chat.protocol.events import payloads

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

FULL_BYTES: Final = 64 * 1024  # unsent: the send queue pauses until a quarter is left


class AsgiSocket:
    """As its own transport it takes joined frames, and sends each as text.

    Must be made in the task that runs the application: `abort` cancels it. `any_code`: False for
    daphne, which refuses close codes below 3000; 1000 is sent instead (design.md section 5).
    """

    def __init__(self, receive: Receive, send: Send, *, any_code: bool = True) -> None:
        self._receive = receive
        self._send = send
        self._any_code = any_code
        self.received = 0
        self._task = asyncio.current_task()
        self._unsent: deque[tuple[int, str]] = deque()  # bytes that it takes, text
        self._unsent_bytes = 0
        self._close: dict[str, Any] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._paused = False
        self._receiver: Receiver
        self._send_queue: SendQueue

    @property
    def transport(self) -> "AsgiSocket":
        return self

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None:
        self._receiver, self._send_queue = receiver, send_queue

    async def run(self) -> None:
        """Hands over what comes until the connection ends."""
        code = LOST
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                text = message.get("text")
                frame = message["bytes"] if text is None else text
                self.received += len(frame)  # nearly
                self._receiver.receive((frame,))
                await self._readable.wait()
            code = message.get("code") or LOST
        except asyncio.CancelledError:
            if not self._send_queue.ended:
                raise
        finally:
            self._send_queue.end()
            self._receiver.end(code)

    # --- out --------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._unsent.extend(_texts(data))
        self._unsent_bytes += len(data)
        self._start()
        if self._unsent_bytes > FULL_BYTES and not self._paused:
            self._paused = True
            self._send_queue.pause()

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def send_close(self, code: int, reason: str) -> None:
        code = code if self._any_code or code >= 3000 else 1000
        self._close = {"type": "websocket.close", "code": code, "reason": reason}
        self._start()
        if self._draining is not None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(MAX_STALL_SECONDS, self.abort)

    def abort(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        if self._task is not None:
            self._task.cancel()

    def ping(self) -> bool:
        """The server's own business here."""
        return True

    def pause_frames(self) -> None:
        self._readable.clear()

    def resume_frames(self) -> None:
        self._readable.set()

    def _start(self) -> None:
        """Sends now, as far as the server takes it; a task remains only where it does not."""
        if self._draining is None:
            task = asyncio.Task(self._drain(), loop=asyncio.get_running_loop(), eager_start=True)
            self._draining = None if task.done() else task

    async def _drain(self) -> None:
        try:
            while self._unsent:
                size, text = self._unsent.popleft()
                await self._send({"type": "websocket.send", "text": text})
                self._unsent_bytes -= size
                if self._paused and self._unsent_bytes <= FULL_BYTES // 4:
                    self._paused = False
                    self._send_queue.resume()
            if self._close is not None:
                await self._send(self._close)
        except Exception:  # the client is gone: each server says so with an exception of its own
            self._send_queue.end()
        finally:
            self._draining = None
            if self._giving_up is not None:
                self._giving_up.cancel()


@lru_cache(maxsize=8)
def _texts(data: bytes) -> tuple[tuple[int, str], ...]:
    """Joined frames, each with its size: decoded once for all who get the same bytes."""
    return tuple((size, payload.decode()) for size, payload in payloads(data))

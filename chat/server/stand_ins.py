"""What an open connection has in place of parts of uvicorn's that it no longer needs: shared, or
small, since there may be many."""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from chat.fanout.send_queue import Receiver, SendQueue

if TYPE_CHECKING:
    from chat.server.websocket_protocol import DirectWebSocket

ALWAYS: Final = asyncio.Event()
"""Stands for the event of each open connection, for which nothing waits: it takes 760 bytes."""
ALWAYS.set()


class _RunOut:
    def cancel(self) -> None:
        """Nothing to cancel."""


RUN_OUT: Final = cast("asyncio.TimerHandle", _RunOut())
"""Stands for the timer of each handshake that is done: it takes 200 bytes."""


class Door:
    """Where uvicorn puts what an application would receive: here it is heard at once."""

    __slots__ = ("_receiver", "_send_queue", "_socket")

    def __init__(
        self, socket: "DirectWebSocket", receiver: Receiver, send_queue: SendQueue
    ) -> None:
        self._socket = socket
        self._receiver = receiver
        self._send_queue = send_queue

    def put_nowait(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect":
            self._socket.end()
            self._send_queue.end()
            self._receiver.end()
        elif message["type"] == "websocket.receive":
            text = message.get("text")
            self._receiver.receive((message["bytes"] if text is None else text,))

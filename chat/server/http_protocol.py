"""The sockets of uvicorn, with what it leaves open: bounds in time and size, and last words.

Bytes and frames only; what they mean is for the ASGI application.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import h11
from msgspec import json
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, CloseCode
from websockets.http11 import Request

from chat.conf import settings
from chat.protocol.errors import ErrorCode

# A line for each opening and closing would cost a tenth of a handshake.
websocket_log = logging.getLogger("websockets")

BODY_BYTES: Final = 1024 * 1024
TOO_LARGE: Final = json.encode(
    {
        "error": {
            "code": ErrorCode.DATA_TOO_LARGE,
            "message": f"The body takes more than {BODY_BYTES} bytes.",
        }
    }
)
HANDSHAKE_SECONDS: Final = 10
CLOSE_SECONDS: Final = 2
"""How long a client that was sent a close frame may take to go."""
FLUSH_SECONDS: Final = 5
"""How long a client may take to read what is left for it, once its connection has ended."""
END_OF_HEAD: Final = b"\r\n\r\n"
NO_LINGER: Final = struct.pack("ii", 1, 0)


class HttpConnection(H11Protocol):
    """uvicorn's HTTP, but a request's head must come in time, and its body within a limit.

    Django would keep a body of any size, in a file, before it asks a view.
    """

    timer: asyncio.TimerHandle | None = None
    received = 0
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            if not self.received and _asks_for_a_websocket(data):
                self._upgrade(data)
                return
            self.received = 0
        self.received += len(data)
        if self.received > BODY_BYTES:
            self._refuse_body()
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self.timer is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _upgrade(self, head: bytes) -> None:
        """Leaves a handshake that came whole to the WebSocket's own parser: taken apart by h11
        first, and put together again, it would cost a quarter more."""
        self._stop_watching()
        self.connections.discard(self)
        protocol_class: Any = self.ws_protocol_class
        protocol = protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        protocol.data_received(head)
        self.transport.set_protocol(protocol)

    def _watch(self) -> None:
        self.timer = self.loop.call_later(HANDSHAKE_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _refuse_body(self) -> None:
        """Answers 413 where nothing was answered yet; what else comes is thrown away."""
        if self.refused:
            return
        self.refused = self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.flow.resume_reading()
        if self.conn.our_state is h11.SEND_RESPONSE:
            start = h11.Response(status_code=413, headers=self._refusal_headers())
            answer = (start, h11.Data(data=TOO_LARGE), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in answer))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(CLOSE_SECONDS, self.transport.close)

    def _refusal_headers(self) -> list[tuple[str, str]]:
        """With what lets a page of another origin read it (protocol.md section 1)."""
        origin = str(dict(self.scope["headers"]).get(b"origin", b""), "latin-1")
        allowed = "*" if "*" in settings.ALLOWED_ORIGINS else origin
        readable = allowed == "*" or origin in settings.ALLOWED_ORIGINS
        return [
            ("content-type", "application/json"),
            ("content-length", str(len(TOO_LARGE))),
            ("connection", "close"),
            *([("access-control-allow-origin", allowed), ("vary", "origin")] if readable else []),
        ]


class WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, but every client learns how its connection ended.

    Left to uvicorn, an oversize frame or a shutdown closes the TCP connection while bytes of the
    client's are unread: the kernel answers with a reset, and the close frame is lost. And what
    a client does not read would keep its socket for as long as the kernel offers it:
    `server.UNACKNOWLEDGED_SECONDS` from then on.
    """

    refused = False  # one of its frames: nothing is said after that

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_SECONDS
        self.logger = self.conn.logger = websocket_log
        self.timer = self.loop.call_later(HANDSHAKE_SECONDS, self._give_up_handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.timer.cancel()
        self._end_parser()

    def _end_parser(self) -> None:
        """The state machine and its parser hold each other, else until the collector comes."""
        self.conn.parser.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it has been refused
            headers = self.scope["headers"]
            self.scope["headers"] = [(name.lower(), value) for name, value in headers]

    def start_keepalive(self) -> None:
        self.timer.cancel()  # called when the handshake is complete
        super().start_keepalive()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        stuck = not self.writable.is_set()  # then even its close frame has waited in vain
        self._reset_in(0 if stuck else FLUSH_SECONDS)

    def keepalive_timeout(self) -> None:
        """It does not answer: it is told so, if it reads at all, and its rows go at once."""
        self.stop_keepalive()
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._await_close(self._reset)

    def data_received(self, data: bytes) -> None:
        if self.conn.parser_exc is not None:
            return  # the rest of what was refused
        self.conn.receive_data(data)
        self.handle_events()  # also those frames of `data` that came before a refused one
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
        elif self.conn.handshake_exc is not None:
            self._flush()
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Text that is not UTF-8 ends the connection; uvicorn logs a traceback of it, too."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._refuse_text()
        else:
            super().send_receive_event_to_app()

    def _refuse_text(self) -> None:
        """It is not UTF-8. Whatever state the connection is in: more than one frame of a read may
        end it."""
        if not self.refused:
            self.conn.fail(CloseCode.INVALID_DATA)
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        if not self.refused:
            super().handle_ping()

    def handle_parser_exception(self) -> None:
        """The library has refused a frame: sends its close frame and reads on, into nothing."""
        if self.refused:
            return
        self.refused = True
        self._await_close()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def shutdown(self) -> None:
        """The server ends: 1012, unless another close is under way."""
        self.stop_keepalive()
        if not self.handshake_complete:
            self._refuse(503)
        elif not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(CloseCode.SERVICE_RESTART)
            self._await_close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None:
            # An answer in HTTP completes the handshake too; uvicorn would log an error for it.
            self.handshake_complete = self.close_sent

    def _await_close(self, give_up: Callable[[], object] | None = None) -> None:
        sent = self.conn.close_sent or Close(CloseCode.ABNORMAL_CLOSURE, "")
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason}
        )
        self._flush()
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.close_timer is None:
            give_up = give_up or self.transport.close
            self.close_timer = self.loop.call_later(self.close_timeout, give_up)

    def _reset_in(self, seconds: float) -> None:
        """Its end has been said: a moment for it to be read."""
        if not self.disconnected:
            self.timer.cancel()
            self.timer = self.loop.call_later(seconds, self._reset)

    def _reset(self) -> None:
        """Throws away what is unsent, the kernel's part of it too."""
        own: socket.socket = self.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()

    def _give_up_handshake(self) -> None:
        if not self.handshake_complete:
            self._refuse(503)

    def _refuse(self, status: int) -> None:
        self.conn.send_response(self.conn.reject(status, ""))
        self._flush()
        self.handshake_complete = self.close_sent = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.transport.close()

    def _flush(self) -> None:
        self.transport.write(b"".join(self.conn.data_to_send()))


def _asks_for_a_websocket(data: bytes) -> bool:
    """Whether it is the head of a handshake, whole, and nothing else."""
    if not (data.startswith(b"GET ") and data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD)):
        return False
    head = data.lower()
    return b"\r\nupgrade: websocket\r\n" in head and b"\r\nconnection: upgrade\r\n" in head


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

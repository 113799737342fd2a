"""How uvicorn runs here: its limits, its manners and its shutdown (design.md section 5).

What a connection means is not known here: a frame goes to `chatsite.asgi`, bytes to the socket.
"""

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

# Tokens travel in the query and may have 64 KiB (protocol.md section 3); websockets reads this when
# it is imported.
os.environ["WEBSOCKETS_MAX_LINE_LENGTH"] = "131072"

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, CloseCode

# Beside the access log, a line each for opening and closing says nothing new.
websocket_log = logging.getLogger("websockets")

REQUEST_BYTES: Final = 128 * 1024
BODY_BYTES: Final = 1024 * 1024
FRAME_BYTES: Final = 128 * 1024
HANDSHAKE_SECONDS: Final = 10
PING_SECONDS: Final = 10
UNACKNOWLEDGED_SECONDS: Final = 30
CLOSE_SECONDS: Final = 2
"""How long a client that was sent a close frame may take to go."""
GRACE_SECONDS: Final = 3
EXIT_SECONDS: Final = 10
SWITCH_SECONDS: Final = 0.0005
"""How long a busy thread holds the interpreter while the event loop waits (design.md section 4)."""


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
            headers = [("content-length", "0"), ("connection", "close")]
            for event in (h11.Response(status_code=413, headers=headers), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(CLOSE_SECONDS, self.transport.close)


class WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, but every client learns how its connection ended.

    Left to uvicorn, an oversize frame or a shutdown closes the TCP connection while bytes of the
    client's are unread: the kernel answers with a reset, and the close frame is lost.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_SECONDS
        self.conn.logger = websocket_log
        self.timer = self.loop.call_later(HANDSHAKE_SECONDS, self._give_up_handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self.timer.cancel()
        super().connection_lost(exc)

    def start_keepalive(self) -> None:
        self.timer.cancel()  # called when the handshake is complete
        super().start_keepalive()

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
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """The library has refused a frame: sends its close frame and reads on, into nothing."""
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

    def _await_close(self) -> None:
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
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

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


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Server(uvicorn.Server):
    """Ends in order when asked once, within EXIT_SECONDS; at once when asked again."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)
        last_resort = threading.Timer(EXIT_SECONDS, os._exit, [128 + sig])
        last_resort.daemon = True
        last_resort.start()

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super()._serve(sockets)
        self._captured_signals.clear()  # uvicorn would raise them again: an exit code of -15

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await drain()
        await super().shutdown(sockets)


async def drain() -> None:
    """What is done between the last handshake and uvicorn's own closing of what is still open."""
    from chat import node

    running = node.running()
    if running is not None:
        await running.drain()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError, with a message to show, where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        milliseconds = UNACKNOWLEDGED_SECONDS * 1000
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listening


def run(listening: socket.socket, trusted_proxies: str, started: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM. Calls `started` once requests are answered.

    `trusted_proxies`: addresses whose X-Forwarded-For and -Proto headers are believed.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        "chatsite.asgi:application",
        http=HttpConnection,
        h11_max_incomplete_event_size=REQUEST_BYTES,
        ws=WebSocket,
        ws_max_size=FRAME_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
        workers=1,
    )
    Server(config, started).run([listening])

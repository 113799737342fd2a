"""uvicorn's HTTP with bounds: a request's head must come in time, and its body within a limit."""

import asyncio
from typing import Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from chat.conf import settings
from chat.http.endpoint import refusal
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.server import admission
from chat.server.websocket import END_OF_HEAD, Header, WebSocket, http_response

BODY_BYTES: Final = 1024 * 1024
TOO_LARGE: Final = refusal(
    ProtocolError(ErrorCode.DATA_TOO_LARGE, f"The body takes more than {BODY_BYTES} bytes.")
).content
HEAD_SECONDS: Final = 10
CLOSE_SECONDS: Final = 2  # for a client whose body was refused to read the answer


class HttpConnection(H11Protocol):
    """One connection. Django would keep a body of any size, in a file, before it asks a view."""

    _timer: asyncio.TimerHandle | None = None  # runs while a head is waited for
    _received = 0  # bytes of the current request
    _refused = False
    _place: str | None = None  # among the sockets of its address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        sockets = self.server_state.connections
        self._place = admission.enter(self.transport, len(sockets))
        if self._place is None:
            sockets.discard(self)
        else:
            self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            if not self._received and _is_handshake(data):
                self._upgrade(data)
                return
            self._received = 0
        self._received += len(data)
        if self._received > BODY_BYTES:
            self._refuse_body()
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        admission.leave(self._place)
        super().connection_lost(exc)

    def _upgrade(self, head: bytes) -> None:
        """Hand a whole handshake to the WebSocket class as it came: parsed by h11 first and put
        together again, as uvicorn does it, a handshake would cost a quarter more."""
        self._stop_timer()
        admission.leave(self._place)
        self.server_state.connections.discard(self)
        websocket_class = cast("type[WebSocket]", self.config.ws_protocol_class)
        protocol = websocket_class(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        protocol.data_received(head)
        self.transport.set_protocol(protocol)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        admission.leave(self._place)
        super().handle_websocket_upgrade(event)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse_body(self) -> None:
        """Answer 413 where nothing was answered yet; discard what else comes."""
        if self._refused:
            return
        self._refused = self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.flow.resume_reading()
        if self.conn.our_state is h11.SEND_RESPONSE:
            self.transport.write(http_response(413, self._refusal_headers(), TOO_LARGE))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.transport.close)

    def _refusal_headers(self) -> list[Header]:
        """With what lets a page of another origin read the answer (protocol.md section 1)."""
        origin = dict(self.scope["headers"]).get(b"origin", b"")
        headers = [(b"content-type", b"application/json")]
        if "*" in settings.ALLOWED_ORIGINS or str(origin, "latin-1") in settings.ALLOWED_ORIGINS:
            allowed = b"*" if "*" in settings.ALLOWED_ORIGINS else origin
            headers += [(b"access-control-allow-origin", allowed), (b"vary", b"origin")]
        return headers


def _is_handshake(data: bytes) -> bool:
    """Whether it is the whole head of a WebSocket handshake, and nothing else."""
    if not (data.startswith(b"GET ") and data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD)):
        return False
    head = data.lower()
    return b"\r\nupgrade: websocket\r\n" in head and b"\r\nconnection: upgrade\r\n" in head

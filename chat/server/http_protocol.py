"""uvicorn's HTTP with bounds: a request's head must come in time, and its answer must be read. What
bounds its body: chat/http/bodies.py."""

import asyncio
import socket
from http import HTTPStatus
from math import inf
from typing import Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from chat.server import admission
from chat.server.asgi_connection import END_OF_HEAD, http_response
from chat.server.websocket import WebSocket

SLICE_BYTES: Final = 1024  # parsed at once
LENGTH_SLICE_BYTES: Final = 4 * 1024  # of a body with a length
HEAD_SECONDS: Final = 10
LAST_HEAD_SECONDS: Final = 0.5  # once the server ends
HEAD_LINES: Final = 200
LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
CHUNKED: Final = (b"transfer-encoding", b"chunked")
CHUNKING_BYTES: Final = 1024  # of a body beside its content: 5 bytes, a chunk's, cost 12 µs of CPU
CONTENT_SHARE: Final = 16  # so many bytes of content allow one more
AHEAD_BYTES: Final = 16 * 1024  # read before the application asks for them, but for one read
DROPPED_BYTES: Final = 4 * 1024 * 1024  # of a body that was refused
DROP_SECONDS: Final = 0.02  # between two reads of it
UNREAD_SECONDS: Final = 10  # within which a byte of an answer must leave, where many wait
KERNEL_BYTES: Final = 128 * 1024  # of answers; the kernel would take 3 MB of each that nobody reads


# What the client's side of a connection is in, once its request has come.
COME: Final = (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)  # type: ignore[attr-defined]
LAST: Final = (h11.MUST_CLOSE, h11.CLOSED)


class Requests(h11.Connection):
    """Refuses a body with two lengths, as RFC 9112 allows (section 6.3): somebody in between may
    believe the other one, and take its end for the next request."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request) and {name for name, _ in event.headers} >= LENGTHS:
            raise h11.RemoteProtocolError("Content-Length beside Transfer-Encoding")
        return event


class HttpConnection(H11Protocol):
    """One connection. Its requests are answered one after the other: what comes behind the one
    under way waits, and is one read of the socket at most."""

    _timer: asyncio.TimerHandle | None = None  # runs while a head is waited for
    _unread_timer: asyncio.TimerHandle | None = None  # runs while the transport is full
    _behind = b""  # the request under way
    _lines = 0  # of the current head
    _chunking = 0  # bytes of the current body
    _dropped = 0  # bytes
    _place: str | None = None  # among the sockets of its address
    _ends = False  # after the next answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.conn.__class__ = Requests  # to make another takes 10 µs, and WebSockets need none
        sockets = self.server_state.connections
        self._place = admission.enter(self.transport, len(sockets))
        if self._place is None:
            sockets.discard(self)
        else:
            self._start_timer()

    def data_received(self, data: bytes) -> None:
        # Only as the first request: behind others uvicorn's timer for idle connections runs.
        begins = self.cycle is None and _is_handshake(data)
        if begins and not self.conn.trailing_data[0]:
            self._upgrade(data)
            return
        at = 0
        while at < len(data) and self._reads():
            if self.conn.their_state in COME:
                self._keep(data[at:])
                break
            if self.conn.their_state in LAST:  # what comes behind it counts for nothing
                self.flow.pause_reading()
                break
            end = at + (SLICE_BYTES if self._in_slices() else LENGTH_SLICE_BYTES)
            self._parse(data[at:end])
            at = end
        websocket = self.transport.get_protocol()
        if websocket is not self:
            rest = self.conn.trailing_data[0] + data[at:]
            if rest:
                cast("WebSocket", websocket).data_received(rest)
            return
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The first request of a connection just accepted may be on its way: it is answered, as the
        last one."""
        if self.cycle is None:
            self._ends = True
            self._start_timer(LAST_HEAD_SECONDS)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading(inf)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unread_timer()

    def _reads(self) -> bool:
        """It is neither closed nor a WebSocket by now."""
        return not self.transport.is_closing() and self.transport.get_protocol() is self

    def _keep(self, data: bytes) -> None:
        """Reads no more, also where the application asks for more of a body."""
        self._behind += data
        self.flow.resume_reading()
        self.transport.pause_reading()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        behind, self._behind = self._behind, b""
        if not self.transport.is_closing() and (behind or not self._reads()):
            self.transport.resume_reading()
            self.data_received(behind)

    @property
    def _in_chunks(self) -> bool:
        return CHUNKED in self.scope["headers"]

    def _in_slices(self) -> bool:
        """A body with a length is cheap to parse, and one that is dropped is not parsed."""
        in_body = self.conn.their_state is h11.SEND_BODY
        return not in_body or (self._in_chunks and not self.cycle.response_started)

    def _parse(self, data: bytes) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self._parse_body(data)
            return
        first = self.cycle is None
        super().data_received(data)
        if first and self.cycle is not None:
            self._limit_kernel()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._ends
        self._lines += data.count(b"\n")
        if self.conn.their_state is not h11.IDLE:
            self._lines = self._chunking = 0
        elif self._lines > HEAD_LINES:
            self.transport.write(http_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
            self.transport.close()

    def _parse_body(self, data: bytes) -> None:
        """Ends the connection where it comes in too many chunks. What comes behind the answer is
        dropped: a body that is accepted is read before."""
        if self.cycle.response_started:
            self._dropped += len(data)
            self.cycle.body.clear()
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(DROP_SECONDS, self._read_on)
        else:
            body = self.cycle.body
            before = len(body)
            super().data_received(data)
            content = len(body) - before
            if self._in_chunks:
                self._chunking += len(data) - content - content // CONTENT_SHARE
            if len(body) > AHEAD_BYTES:
                self.flow.pause_reading()
        if self._dropped > DROPPED_BYTES:
            self.transport.abort()
        elif self._chunking > CHUNKING_BYTES and not self.transport.is_closing():
            self.send_400_response("The body comes in too many chunks.")

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _upgrade(self, head: bytes) -> None:
        """Hand a whole handshake to the WebSocket class as it came: parsed by h11 first and put
        together again, as uvicorn does it, a handshake would cost a quarter more."""
        self._stop_timer()
        self._leave()
        self.server_state.connections.discard(self)
        websocket_class = cast("type[WebSocket]", self.config.ws_protocol_class)
        protocol = websocket_class(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        protocol.data_received(head)
        self.transport.set_protocol(protocol)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._leave()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Of a request whose body is broken the application's own answer is dropped."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        super().send_400_response(msg)

    def _leave(self) -> None:
        """It is closed, or has become a WebSocket."""
        self._stop_unread_timer()
        admission.leave(self._place)
        self._place = None

    def _start_timer(self, seconds: float = HEAD_SECONDS) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _limit_kernel(self) -> None:
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # Linux, macOS
            own: socket.socket = self.transport.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)

    def _expect_reading(self, unsent: float) -> None:
        """Ends a connection of which no more than `unsent` bytes are less after a while."""
        left = self.transport.get_write_buffer_size()
        if left >= unsent:
            self.transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._unread_timer = loop.call_later(UNREAD_SECONDS, self._expect_reading, left)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None


def _is_handshake(data: bytes) -> bool:
    """Whether it is the whole head of a WebSocket handshake, and nothing else."""
    if not (data.startswith(b"GET ") and data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD)):
        return False
    head = data.lower()
    return b"\r\nupgrade: websocket\r\n" in head and b"\r\nconnection: upgrade\r\n" in head

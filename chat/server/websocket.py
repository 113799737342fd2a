"""The server's WebSocket: its frames by our own reader, its turns, its end (design.md section 4,
"Frames straight to the transport").

An ASGI application is served through an `AsgiConnection`, until it takes the socket over with the
extension in its scope. A connection then is only a `WebSocket` and what the application keeps:
there may be many.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import ClassVar, Final, cast

from uvicorn import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Close, CloseCode, Opcode

from chat.fanout.send_queue import Receiver, SendQueue
from chat.server import frames
from chat.server.asgi_connection import AsgiConnection, http_response
from chat.server.frames import TURN_FRAMES, FrameReader, close_frame, frame, take_texts

HANDSHAKE_SECONDS: Final = 10
TURN_BYTES: Final = 64 * 1024  # of one socket are read; then the others come
CLOSE_SECONDS: Final = 2  # for a client to answer our close frame
LINGER_SECONDS: Final = 0.03  # between the turns in which its close frame is looked for
LINGER_FRAMES: Final = 1000  # of such a turn; where it is not among them, all else is discarded
FLUSH_SECONDS: Final = 5  # for a client to read what is left, once its connection has ended
NO_LINGER: Final = struct.pack("ii", 1, 0)
PING_FRAME: Final = frame(Opcode.PING, b"")

# Why no frames are dispatched and none are read:
PAUSED: Final = 1  # the receiver has not handled the frames before
YIELDED: Final = 2  # it is the others' turn


class State(Enum):
    CONNECTING = auto()  # until the application accepts
    OPEN = auto()
    LOST = auto()  # frames that were read before are still dispatched
    CLOSING = auto()  # we sent a close frame; the client's is awaited
    CLOSED = auto()  # what still comes is discarded


class WebSocket(asyncio.Protocol):
    """One WebSocket connection, and what uvicorn requires of a `ws=` class:

    - it is made with `config`, `server_state` and `app_state` when a request asks for a WebSocket;
    - `connection_made(transport)` comes next, then `data_received(head)` with the request's whole
      head; then it becomes the transport's protocol;
    - it is in `server_state.connections` while it lasts, and the application's task is in
      `server_state.tasks`: a server that ends waits for both;
    - `shutdown()` is called when the server ends.

    A turn of it handles a bounded number of frames, and reads a bounded number of bytes. It reads
    on, slowly, after its own close frame: closing a socket with unread bytes makes the kernel send
    a reset, which overtakes the close frame.
    """

    __slots__ = (
        *("_connections", "_held", "_listener", "_max_size", "_outgoing", "_pong", "_reader"),
        *("_receiver", "_state", "_timer", "_unanswered", "received", "transport"),
    )

    direct: ClassVar[bool] = True  # whether the application is offered the extension

    transport: asyncio.Transport

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, object]
    ) -> None:
        self._connections = cast("set[WebSocket]", server_state.connections)
        self._max_size = config.ws_max_size
        asgi = AsgiConnection(self, config, server_state, app_state)
        self._receiver: Receiver | None = asgi  # None once the end was announced to it
        self._outgoing: AsgiConnection | SendQueue | None = asgi  # None once the connection is lost
        # Gets whole texts at once. None while there is more to look at: a frame that is not whole
        # yet, a pause, the handshake, the end.
        self._listener: Receiver | None = None
        self._reader: FrameReader | None = None  # while a frame or a message is not whole
        self._state = State.CONNECTING
        self._held = 0  # PAUSED, YIELDED, both
        self._pong: bytes | None = None  # the one that is owed (empty: none) while writing pauses
        self._unanswered = False  # our ping is
        self.received = 0  # bytes of frames, in all
        self._timer: asyncio.TimerHandle | None = None

    # --- from the handshake to the open connection ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._call_later(HANDSHAKE_SECONDS, self.shutdown)

    def accept(self, head: bytes, ping_seconds: float | None) -> None:
        """Complete the handshake; ping every so often until the application takes over. Raises
        ClientDisconnected."""
        self._require(State.CONNECTING)
        self.transport.write(head)
        self._cancel_timer()
        if ping_seconds:
            self._call_later(ping_seconds, partial(self._ping_again, ping_seconds))
        self._state = State.OPEN

    def refuse(self, response: bytes) -> None:
        """Answer the handshake with an HTTP response. Raises ClientDisconnected."""
        self._require(State.CONNECTING)
        self._end(CloseCode.ABNORMAL_CLOSURE, "", response)
        self.transport.close()

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None:
        """The application takes over as soon as it has accepted, pings included; its task may
        end."""
        if self._state is State.OPEN:
            self._cancel_timer()
        elif self._state is State.LOST:
            send_queue.end()
        ended = self._receiver is None
        self._receiver, self._outgoing = receiver, send_queue
        if ended:
            self._announce_end(CloseCode.ABNORMAL_CLOSURE, "")
            self._outgoing = None
        else:
            self.resume_frames()

    def returned(self, *, stuck: bool) -> None:
        """The application has returned. `stuck`: the transport is full, so that not even a close
        frame would leave."""
        if not isinstance(self._outgoing, AsgiConnection):
            return  # it has taken over, or the connection is lost
        if self._state is State.CONNECTING and not self.transport.is_closing():
            self.refuse(http_response(HTTPStatus.INTERNAL_SERVER_ERROR))
        elif self._state is State.OPEN:
            self._end(CloseCode.ABNORMAL_CLOSURE, "", b"")
            self.transport.close()
        elif self._state is State.LOST:
            self._finish(CloseCode.ABNORMAL_CLOSURE, "")
        if stuck:
            self.abort()

    # --- in -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        listener, at = self._listener, 0
        if listener is not None:
            texts: list[str] = []
            at = take_texts(data, 0, texts, self._max_size)
            if texts:
                listener.receive(texts)
        if at < len(data):
            self._receive(data[at:])
        if len(data) >= TURN_BYTES:
            self._yield()

    def _receive(self, data: bytes) -> None:
        """Take whatever may come, in whatever state."""
        if self._state is not State.CLOSED:
            if isinstance(self._outgoing, AsgiConnection) and not self._outgoing.accept_key:
                self._outgoing.start(data)
                return
            if self._reader is None:
                self._reader = FrameReader(self._max_size, data)
            else:
                self._reader.feed(data)
            if self._state is State.CONNECTING:
                self.pause_frames()
            else:
                self._take_turn()
        if self._receiver is None and not self.transport.is_closing():
            self._yield()

    def _take_turn(self) -> None:
        """Dispatch what has come, until frames are held."""
        self._listener = None
        reader, pongs, taken = self._reader, list[bytes](), 0
        most = LINGER_FRAMES if self._receiver is None else TURN_FRAMES
        if reader is not None:
            try:
                while not self._held and self._state is not State.CLOSED:
                    event = reader.next()
                    if event is None:
                        break
                    self._dispatch(event, pongs)
                    taken += len(event) if isinstance(event, list) else 1
                    if taken >= most and not reader.idle:
                        self._yield()
                        if most == LINGER_FRAMES:
                            self._state = State.CLOSED
                self._answer(pongs)
            except frames.FrameError as error:
                self._answer(pongs)
                self._fail(error)
            if reader.idle or self._state is State.CLOSED:
                self._reader = None
        if not self._held:
            if self._state is State.LOST:
                self._finish(CloseCode.ABNORMAL_CLOSURE, "")
            elif self._reader is None:
                self._listener = self._receiver

    def _dispatch(self, event: frames.Event, pongs: list[bytes]) -> None:
        """Pongs are joined, and leave before the answer to anything else."""
        receiver = self._receiver
        if isinstance(event, Close):
            self._answer(pongs)
            if self._state is State.OPEN:
                payload = b"" if event.code == CloseCode.NO_STATUS_RCVD else event.serialize()
                self._end(event.code, event.reason, frame(Opcode.CLOSE, payload))
            elif self._state is State.LOST:
                self._finish(event.code, event.reason)
            self._state = State.CLOSED
            self.transport.close()
        elif receiver is None:
            pass  # after our own close frame only the client's counts
        elif isinstance(event, list | bytes):
            self._answer(pongs)
            receiver.receive(event if isinstance(event, list) else (event,))
        else:
            allowed = receiver.charge()
            if event.opcode is Opcode.PONG:
                self._unanswered = False
            elif allowed and event.opcode is Opcode.PING:
                pongs.append(frame(Opcode.PONG, bytes(event.data)))

    def _answer(self, pongs: list[bytes]) -> None:
        """While the transport is full, only the latest pong is owed (RFC 6455 section 5.5.3)."""
        if pongs and self._state is State.OPEN and not self.transport.is_closing():
            if self._pong is None:
                self.transport.write(b"".join(pongs))
            else:
                self._pong = pongs[-1]
        pongs.clear()

    def pause_frames(self) -> None:
        """Dispatch no more frames, and read no more, until `resume_frames`."""
        if self._receiver is not None:
            self._hold(PAUSED)

    def resume_frames(self) -> None:
        if self._state is State.CONNECTING:
            return
        if self._held & PAUSED and self._reader is not None:
            self._held &= ~PAUSED
            self._yield()
        else:
            self._release(PAUSED)

    def _yield(self) -> None:
        """Let the other sockets come first. To return would not do: libuv reads on."""
        if not self._held & YIELDED:
            self._hold(YIELDED)
            loop = asyncio.get_running_loop()
            if self._receiver is None:
                loop.call_later(LINGER_SECONDS, self._release, YIELDED)
            else:
                loop.call_soon(self._release, YIELDED)

    def _hold(self, reason: int) -> None:
        self._held |= reason
        self._listener = None
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _release(self, reason: int) -> None:
        self._held &= ~reason
        if not self._held:
            if self._state is not State.CONNECTING:
                self._take_turn()
            if not self._held and not self.transport.is_closing():
                self.transport.resume_reading()

    # --- out ------------------------------------------------------------------------------------

    def send(self, opcode: Opcode, payload: bytes) -> None:
        """Raises ClientDisconnected."""
        self._require(State.OPEN)
        self.transport.write(frame(opcode, payload))

    def ping(self) -> bool:
        """See chat.fanout.send_queue.Socket."""
        if self._held:
            return True  # the answer may be among what is not read meanwhile
        if self._state is not State.OPEN or self.transport.is_closing():
            return False
        if self._unanswered:
            code, reason = CloseCode.INTERNAL_ERROR, "keepalive ping timeout"
            self._end(code, reason, close_frame(code, reason))
            self._call_later(CLOSE_SECONDS, self.abort)
            return False
        self._unanswered = True
        self.transport.write(PING_FRAME)
        return True

    def _ping_again(self, seconds: float) -> None:
        """That long the client had to answer the one before."""
        if self.ping():
            self._call_later(seconds, partial(self._ping_again, seconds))

    def pause_writing(self) -> None:
        self._pong = b""
        if self._outgoing is not None:
            self._outgoing.pause()

    def resume_writing(self) -> None:
        pong, self._pong = self._pong, None
        if pong:
            self._answer([pong])
        if self._outgoing is not None:
            self._outgoing.resume()

    def _require(self, state: State) -> None:
        if self._state is not state or self.transport.is_closing():
            raise ClientDisconnected

    # --- the end --------------------------------------------------------------------------------

    def send_close(self, code: int, reason: str) -> None:
        """Close behind what was written; the client's close frame is awaited."""
        if self._state is State.OPEN and not self.transport.is_closing():
            self._end(code, reason, close_frame(code, reason), State.CLOSING)

    def shutdown(self) -> None:
        """The server ends, or the application has not answered the handshake in time."""
        if self._state is not State.CONNECTING:
            self.send_close(CloseCode.SERVICE_RESTART, "")
        elif not self.transport.is_closing():
            self.refuse(http_response(HTTPStatus.SERVICE_UNAVAILABLE))

    def abort(self) -> None:
        """Discard what is unsent, the kernel's part of it too."""
        own: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._held and self._state is State.OPEN and self._outgoing is not None:
            self._state = State.LOST
            self._outgoing.end()
        else:
            self._finish(CloseCode.ABNORMAL_CLOSURE, "")

    def _finish(self, code: int, reason: str) -> None:
        """The connection is lost, and what came before has been dispatched."""
        self._announce_end(code, reason)
        self._state = State.CLOSED
        self._cancel_timer()
        self._outgoing = self._reader = None

    def _fail(self, error: frames.FrameError) -> None:
        """The client broke the protocol: discard what it still sends."""
        if self._state is State.OPEN:
            self._end(error.code, error.reason, close_frame(error.code, error.reason))
        elif self._state is State.LOST:
            self._finish(error.code, error.reason)
        self._state = State.CLOSED
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _end(self, code: int, reason: str, last: bytes, state: State = State.CLOSED) -> None:
        """Write `last` behind what was sent before, announce the end, and give the client some
        seconds for its part."""
        if isinstance(self._outgoing, SendQueue):
            self._outgoing.flush(asyncio.get_running_loop().time())
        if not self.transport.is_closing():
            self.transport.write(last)
        self._state = state
        self._announce_end(code, reason)
        self._call_later(CLOSE_SECONDS, self._stop_waiting)

    def _announce_end(self, code: int, reason: str) -> None:
        """Once. What was read before and not dispatched is looked through for a close frame."""
        receiver, self._receiver, self._listener = self._receiver, None, None
        if receiver is None:
            return
        if isinstance(self._outgoing, AsgiConnection):
            self._outgoing.disconnect(code, reason)
        if self._outgoing is not None:
            self._outgoing.end()
        receiver.end(code)
        if self._held & PAUSED and not self.transport.is_closing():
            self._held &= ~PAUSED
            self._yield()

    def _stop_waiting(self) -> None:
        self.transport.close()
        self._call_later(FLUSH_SECONDS - CLOSE_SECONDS, self.abort)

    def _call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class AsgiWebSocket(WebSocket):
    """Serves applications through ASGI alone, as other servers do."""

    __slots__ = ()
    direct = False

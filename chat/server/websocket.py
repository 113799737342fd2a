"""The server's WebSocket: the handshake by websockets' sans-I/O `ServerProtocol`, every later frame
by our own reader (design.md section 4, "Frames straight to the transport").

An ASGI application is served through an `AsgiConnection`, until it takes the socket over with the
extension in its scope. A connection then is only a `WebSocket` and what the application keeps:
there may be many.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar, Final, cast
from urllib.parse import unquote

from asgiref.typing import (
    ASGIReceiveEvent,
    ASGISendEvent,
    WebSocketAcceptEvent,
    WebSocketScope,
)
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from chat.fanout.send_queue import EXTENSION, Receiver, SendQueue
from chat.server import frames
from chat.server.frames import FrameReader, close_frame, frame, take_texts

log = logging.getLogger("chat.server.websocket")

HANDSHAKE_SECONDS: Final = 10
CLOSE_SECONDS: Final = 2
"""How long a client that was sent a close frame may take to answer it."""
FLUSH_SECONDS: Final = 5
"""How long a client may take to read what is left for it, once its connection has ended."""
NO_LINGER: Final = struct.pack("ii", 1, 0)
PING_FRAME: Final = frame(frames.PING, b"")
END_OF_HEAD: Final = b"\r\n\r\n"
SWITCHING: Final = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}

Header = tuple[bytes, bytes]


class ClientDisconnected(OSError):
    """The application sends to a connection that has ended (required by the ASGI specification)."""


class State(Enum):
    CONNECTING = auto()  # until the application accepts
    OPEN = auto()
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

    It reads on after its own close frame: closing a socket with unread bytes makes the kernel send
    a reset, which overtakes the close frame.
    """

    __slots__ = (
        *("_asgi", "_connections", "_listener", "_max_size", "_outgoing", "_paused", "_reader"),
        *("_receiver", "_state", "_timer", "_unanswered", "transport"),
    )

    direct: ClassVar[bool] = True
    """Whether the application is offered the extension; else it is served through ASGI alone."""

    transport: asyncio.Transport

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, object]
    ) -> None:
        self._connections = cast("set[WebSocket]", server_state.connections)
        self._max_size = config.ws_max_size
        self._asgi: AsgiConnection | None = AsgiConnection(self, config, server_state, app_state)
        self._receiver: Receiver | None = self._asgi  # None once the end was announced to it
        self._outgoing: SendQueue | AsgiConnection | None = self._asgi
        # Gets whole texts at once. None while there is more to look at: a frame that is not whole
        # yet, a pause, the handshake, the end.
        self._listener: Receiver | None = None
        self._reader: FrameReader | None = None  # while a frame or a message is not whole
        self._state = State.CONNECTING
        self._paused = False  # until the receiver has handled the frames before
        self._unanswered = False  # our ping is
        self._timer: asyncio.TimerHandle | None = None

    # --- from the handshake to the open connection ---------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._call_later(HANDSHAKE_SECONDS, self.shutdown)

    def accept(self, head: bytes) -> None:
        """Complete the handshake. Raises ClientDisconnected."""
        self._require(State.CONNECTING)
        self.transport.write(head)
        self._cancel_timer()
        self._state = State.OPEN
        self.resume_frames()

    def refuse(self, response: bytes) -> None:
        """Answer the handshake with an HTTP response. Raises ClientDisconnected."""
        self._require(State.CONNECTING)
        self._end(CloseCode.ABNORMAL_CLOSURE, "", response)
        self.transport.close()

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None:
        """The application takes over; its task may end."""
        unread = [] if self._asgi is None else self._asgi.hand_over()
        ended = self._receiver is None
        self._asgi, self._receiver, self._outgoing, self._paused = None, receiver, send_queue, False
        if unread:
            receiver.receive(unread)
        if ended:
            self._announce_end(CloseCode.ABNORMAL_CLOSURE, "")
            self._outgoing = None
        elif not self._paused:
            self.resume_frames()

    def returned(self, *, stuck: bool) -> None:
        """The application has returned without having taken over. `stuck`: the transport is full,
        so that not even a close frame would leave."""
        if self._state is State.CONNECTING and not self.transport.is_closing():
            self.refuse(http_response(HTTPStatus.INTERNAL_SERVER_ERROR))
        elif self._state is State.OPEN:
            self._end(CloseCode.ABNORMAL_CLOSURE, "", b"")
            self.transport.close()
        if stuck:
            self.abort()

    # --- in -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        listener = self._listener
        if listener is None:
            self._receive(data)
            return
        texts: list[str] = []
        at = take_texts(data, 0, texts, self._max_size)
        if texts:
            listener.receive(texts)
        if at < len(data):
            self._receive(data[at:])

    def _receive(self, data: bytes) -> None:
        """Take whatever may come, in whatever state."""
        if self._state is State.CLOSED:
            return
        if self._asgi is not None and not self._asgi.started:
            self._asgi.start(data)
            return
        if self._reader is None:
            self._reader = FrameReader(self._max_size, data)
        else:
            self._reader.feed(data)
        if self._state is State.CONNECTING:
            self.pause_frames()
        else:
            self._dispatch_all()

    def _dispatch_all(self, rest_for: Receiver | None = None) -> None:
        """Dispatch what has come, until frames are paused. `rest_for` gets the frames that were
        still waiting when the connection ended."""
        self._listener = None
        reader = self._reader
        if reader is not None:
            try:
                while not self._paused and self._state is not State.CLOSED:
                    event = reader.next()
                    if event is None:
                        break
                    self._dispatch(event, self._receiver if rest_for is None else rest_for)
            except frames.FrameError as error:
                self._fail(error)
            if reader.idle or self._state is State.CLOSED:
                self._reader = None
        if self._reader is None and not self._paused:
            self._listener = self._receiver

    def _dispatch(self, event: frames.Event, receiver: Receiver | None) -> None:
        if isinstance(event, frames.Close):
            if self._state is State.OPEN:
                self._end(event.code, event.reason, frame(frames.CLOSE, event.payload))
            self._state = State.CLOSED
            self.transport.close()
        elif receiver is None:
            pass  # after our own close frame only the client's counts
        elif isinstance(event, list):
            receiver.receive(event)
        elif isinstance(event, bytes):
            receiver.receive((event,))
        elif isinstance(event, frames.Pong):
            self._unanswered = False
        else:
            self.transport.write(frame(frames.PONG, event.payload))

    def pause_frames(self) -> None:
        """Dispatch no more frames, and read no more, until `resume_frames`."""
        if self._receiver is not None:
            self._paused, self._listener = True, None
            self.pause_reading()

    def pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_frames(self) -> None:
        if self._state is not State.CONNECTING:
            self._paused = False
            self._dispatch_all()
            if not self._paused and not self.transport.is_closing():
                self.transport.resume_reading()

    # --- out ------------------------------------------------------------------------------------

    def send(self, opcode: int, payload: bytes) -> None:
        """Raises ClientDisconnected."""
        self._require(State.OPEN)
        self.transport.write(frame(opcode, payload))

    def ping(self) -> bool:
        """See chat.fanout.send_queue.Socket."""
        if self._paused:
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

    def pause_writing(self) -> None:
        if self._outgoing is not None:
            self._outgoing.pause()

    def resume_writing(self) -> None:
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
        self._announce_end(CloseCode.ABNORMAL_CLOSURE, "")
        self._state = State.CLOSED
        self._cancel_timer()
        if self._asgi is not None:
            self._asgi.resume()  # who waits to send learns of it
        self._asgi = self._outgoing = self._reader = None

    def _fail(self, error: frames.FrameError) -> None:
        """The client broke the protocol: discard what it still sends."""
        if self._state is State.OPEN:
            self._end(error.code, error.reason, close_frame(error.code, error.reason))
        self._state = State.CLOSED
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _end(self, code: int, reason: str, last: bytes, state: State = State.CLOSED) -> None:
        """Write `last` behind what was sent before, announce the end, and give the client some
        seconds for its part."""
        if self._outgoing is not None:
            self._outgoing.flush(asyncio.get_running_loop().time())
        if not self.transport.is_closing():
            self.transport.write(last)
        self._state = state
        self._announce_end(code, reason)
        self._call_later(CLOSE_SECONDS, self._stop_waiting)

    def _announce_end(self, code: int, reason: str) -> None:
        """Once, behind the frames that were read before the end."""
        receiver, self._receiver, self._listener = self._receiver, None, None
        if receiver is None or self._outgoing is None:
            return
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self._paused:
            self._paused = False
            self._dispatch_all(receiver)
        if self._asgi is not None:
            self._asgi.disconnect(code, reason)
        self._outgoing.end()
        receiver.end()

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


class AsgiConnection:
    """What an ASGI application sees of a socket: its scope, what it receives, what it sends.

    To the socket it is a receiver of frames and a send queue, until the application takes over and
    brings its own.
    """

    def __init__(
        self,
        socket: WebSocket,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
    ) -> None:
        self.started = False
        self._socket = socket
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._accept_key = b""
        self._answered = False
        self._response: tuple[int, list[Header], list[bytes]] | None = None  # a refusal, begun
        self._events: asyncio.Queue[ASGIReceiveEvent] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ping_timer: asyncio.TimerHandle | None = None
        self._taken_over = False

    # --- the handshake --------------------------------------------------------------------------

    def start(self, data: bytes) -> None:
        """Start the application, or refuse the request whose head `data` begins with."""
        self.started = True
        head, _, rest = data.partition(END_OF_HEAD)
        handshake = ServerProtocol()
        handshake.receive_data(head + END_OF_HEAD)
        request = next(iter(handshake.events_received()), None)
        if isinstance(request, Request):
            response = handshake.accept(request)
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                self._accept_key = response.headers["Sec-WebSocket-Accept"].encode()
                self._start_application(self._scope(request))
            else:
                handshake.send_response(response)
        if not self._accept_key:
            answer = b"".join(handshake.data_to_send())
            self._socket.refuse(answer or http_response(HTTPStatus.BAD_REQUEST))
        vars(handshake).clear()  # it and its parser hold each other
        if rest:
            self._socket.data_received(rest)

    def _scope(self, request: Request) -> WebSocketScope:
        config, transport, headers = self._config, self._socket.transport, request.headers
        path, _, query = request.path.partition("?")
        offered = ",".join(headers.get_all("Sec-WebSocket-Protocol"))
        extensions: dict[str, object] = {"websocket.http.response": {}}
        if self._socket.direct:
            extensions[EXTENSION] = self._socket
        scope: dict[str, object] = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if transport.get_extra_info("sslcontext") else "ws",
            "server": _address(transport, "sockname"),
            "client": _address(transport, "peername"),
            "root_path": config.root_path,
            "path": config.root_path + unquote(path),
            "raw_path": _bytes_of(config.root_path + path),
            "query_string": _bytes_of(query),
            "headers": [(_bytes_of(k.lower()), _bytes_of(v)) for k, v in headers.raw_items()],
            "subprotocols": [name.strip() for name in offered.split(",") if name],
            "state": self._app_state.copy(),
            "extensions": extensions,
        }
        return cast("WebSocketScope", scope)

    def _start_application(self, scope: WebSocketScope) -> None:
        self._events.put_nowait({"type": "websocket.connect"})
        tasks = self._server_state.tasks
        task = asyncio.get_running_loop().create_task(self._run(scope))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _run(self, scope: WebSocketScope) -> None:
        try:
            await self._config.loaded_app(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except Exception:  # the outermost edge
            log.exception("The application failed")
        finally:
            if not self._taken_over:
                self._socket.returned(stuck=not self._writable.is_set())

    def hand_over(self) -> list[str | bytes]:
        """The application takes over; returns the frames that it has not received."""
        self._taken_over = True
        self._stop_pinging()
        unread: list[str | bytes] = []
        while not self._events.empty():
            event = self._events.get_nowait()
            if event["type"] == "websocket.receive":
                text = event["text"]
                unread.append((event["bytes"] or b"") if text is None else text)
        return unread

    # --- what the application receives ----------------------------------------------------------

    async def _receive(self) -> ASGIReceiveEvent:
        event = await self._events.get()
        if self._events.empty():
            self._socket.resume_frames()
        return event

    def receive(self, sent: Iterable[str | bytes]) -> None:
        """Keep the frames of one read until the application receives them; then read on."""
        for each in sent:
            text, data = (each, None) if isinstance(each, str) else (None, each)
            self._events.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})
        self._socket.pause_reading()

    def disconnect(self, code: int, reason: str) -> None:
        self._stop_pinging()
        self._events.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def end(self) -> None:
        """Nothing to do: `disconnect` came before."""

    # --- what the application sends -------------------------------------------------------------

    async def _send(self, message: ASGISendEvent) -> None:
        await self._writable.wait()
        if not self._answered:
            self._answer(message)
        elif message["type"] == "websocket.send":
            data, text = message.get("bytes"), message.get("text")
            if data is None:
                self._socket.send(frames.TEXT, (text or "").encode())
            else:
                self._socket.send(frames.BINARY, data)
        elif message["type"] == "websocket.close":
            self._socket.send_close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(f"Not expected of an open WebSocket: {message['type']!r}.")

    def _answer(self, message: ASGISendEvent) -> None:
        """Of the handshake."""
        if message["type"] == "websocket.accept":
            self._accept(message)
        elif message["type"] == "websocket.close":
            self._refuse(HTTPStatus.FORBIDDEN, [], b"")
        elif message["type"] == "websocket.http.response.start":
            self._response = message["status"], [*message.get("headers", ())], []
        elif message["type"] == "websocket.http.response.body" and self._response is not None:
            status, headers, body = self._response
            body.append(message["body"])
            if not message.get("more_body", False):
                self._refuse(status, headers, b"".join(body))
        else:
            raise RuntimeError(f"Not expected of a handshake: {message['type']!r}.")

    def _accept(self, message: WebSocketAcceptEvent) -> None:
        headers = [*SWITCHING, (b"Sec-WebSocket-Accept", self._accept_key)]
        headers += [*self._server_state.default_headers, *message.get("headers", ())]
        subprotocol = message.get("subprotocol")
        if subprotocol:
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        self._answered = True
        self._socket.accept(_http_head(HTTPStatus.SWITCHING_PROTOCOLS, headers))
        self._ping_later()

    def _refuse(self, status: int, headers: list[Header], body: bytes) -> None:
        self._answered = True
        self._socket.refuse(http_response(status, headers, body))

    def flush(self, now: float) -> None:
        """Nothing to do: what the application sends is written at once."""

    def pause(self) -> None:
        self._writable.clear()

    def resume(self) -> None:
        self._writable.set()

    # --- pings ----------------------------------------------------------------------------------

    def _ping_later(self) -> None:
        """`ws_ping_interval` is also how long the client has to answer."""
        interval = self._config.ws_ping_interval
        if interval:
            self._ping_timer = asyncio.get_running_loop().call_later(interval, self._ping)

    def _ping(self) -> None:
        if not self._events.empty() or self._socket.ping():  # not while reading is paused
            self._ping_later()

    def _stop_pinging(self) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()


def http_response(status: int, headers: Sequence[Header] = (), body: bytes = b"") -> bytes:
    """A whole response, after which the connection is closed."""
    defaults = {
        b"date": formatdate(usegmt=True).encode(),
        b"connection": b"close",
        b"content-length": b"%d" % len(body),
        b"content-type": b"text/plain; charset=utf-8",
    }
    for name, _ in headers:
        defaults.pop(name.lower(), None)
    return _http_head(status, [*headers, *defaults.items()]) + body


def _http_head(status: int, headers: Iterable[Header]) -> bytes:
    first = f"HTTP/1.1 {status} {PHRASES.get(status, '')}".encode()
    return b"\r\n".join((first, *(b"%b: %b" % header for header in headers), b"\r\n"))


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """Host and port; None for a UNIX socket."""
    found = transport.get_extra_info(name)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


def _bytes_of(text: str) -> bytes:
    """A part of the head as it came: websockets decodes it as Latin-1, before 17.0 as ASCII with
    surrogates."""
    return text.encode("latin-1", "surrogateescape")

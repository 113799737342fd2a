"""The ASGI side of a WebSocket: the handshake, by websockets' sans-I/O `ServerProtocol`, and what
an application receives and sends until it takes the socket over."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

from asgiref.typing import ASGIReceiveEvent, ASGISendEvent, WebSocketAcceptEvent, WebSocketScope
from uvicorn import Config
from uvicorn.protocols.utils import ClientDisconnected, get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from chat.fanout.send_queue import EXTENSION

if TYPE_CHECKING:
    from chat.server.websocket import WebSocket

log = logging.getLogger("chat.server.websocket")

END_OF_HEAD: Final = b"\r\n\r\n"
Header = tuple[bytes, bytes]


@dataclass(slots=True, eq=False)
class AsgiConnection:
    """What an ASGI application sees of a socket: its scope, what it receives, what it sends.

    To the socket it is the receiver of frames until the application takes over.
    """

    socket: "WebSocket"
    config: Config
    server_state: ServerState
    app_state: dict[str, object]
    accept_key: bytes = b""  # empty until the head has come
    answered: bool = False
    response: tuple[int, list[Header], bytes] | None = None  # a refusal, begun
    events: asyncio.Queue[ASGIReceiveEvent] = field(default_factory=asyncio.Queue)
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.writable.set()

    # --- the handshake --------------------------------------------------------------------------

    def start(self, data: bytes) -> None:
        """Start the application, or refuse the request whose head `data` begins with."""
        head, _, rest = data.partition(END_OF_HEAD)
        handshake = ServerProtocol(logger=log)  # ours: at DEBUG it has the headers' tokens
        handshake.receive_data(head + END_OF_HEAD)
        request = next(iter(handshake.events_received()), None)
        if isinstance(request, Request):
            response = handshake.accept(request)
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                self.accept_key = response.headers["Sec-WebSocket-Accept"].encode()
                self.events.put_nowait({"type": "websocket.connect"})
                task = asyncio.get_running_loop().create_task(self._run(self._scope(request)))
                self.server_state.tasks.add(task)
                task.add_done_callback(self.server_state.tasks.discard)
            else:
                handshake.send_response(response)
        if not self.accept_key:
            answer = b"".join(handshake.data_to_send())
            self.socket.refuse(answer or http_response(HTTPStatus.BAD_REQUEST))
        vars(handshake).clear()  # it and its parser hold each other
        self.socket.received = 0  # of frames
        if rest:
            self.socket.data_received(rest)

    def _scope(self, request: Request) -> WebSocketScope:
        config, transport, headers = self.config, self.socket.transport, request.headers
        path, _, query = request.path.partition("?")
        offered = ",".join(headers.get_all("Sec-WebSocket-Protocol"))
        extensions: dict[str, object] = {"websocket.http.response": {}}
        if self.socket.direct:
            extensions[EXTENSION] = self.socket
        scope = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "root_path": config.root_path,
            "path": config.root_path + unquote(path),
            "raw_path": _bytes_of(config.root_path + path),
            "query_string": _bytes_of(query),
            "headers": [(_bytes_of(k.lower()), _bytes_of(v)) for k, v in headers.raw_items()],
            "subprotocols": [name.strip() for name in offered.split(",") if name],
            "state": self.app_state.copy(),
            "extensions": extensions,
        }
        return cast("WebSocketScope", scope)

    async def _run(self, scope: WebSocketScope) -> None:
        try:
            await self.config.loaded_app(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except Exception:  # the outermost edge
            log.exception("The application failed")
        finally:
            self.socket.returned(stuck=not self.writable.is_set())

    # --- what the application receives ----------------------------------------------------------

    async def _receive(self) -> ASGIReceiveEvent:
        if self.events.empty():
            self.socket.resume_frames()
        return await self.events.get()

    def receive(self, sent: Iterable[str | bytes]) -> None:
        """Keep the frames of one read; read on when the application has received them."""
        for each in sent:
            text, data = (each, None) if isinstance(each, str) else (None, each)
            self.events.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})
        self.socket.pause_frames()

    def charge(self) -> bool:
        """Allow any number."""
        return True

    def disconnect(self, code: int, reason: str) -> None:
        self.events.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def end(self, code: int = 0) -> None:
        """Let go of who waits to send; `disconnect` came before."""
        self.writable.set()

    # --- what the application sends -------------------------------------------------------------

    async def _send(self, message: ASGISendEvent) -> None:
        await self.writable.wait()
        if not self.answered:
            self._answer_handshake(message)
        elif message["type"] == "websocket.send":
            data, text = message.get("bytes"), message.get("text")
            if data is None:
                self.socket.send(Opcode.TEXT, (text or "").encode())
            else:
                self.socket.send(Opcode.BINARY, data)
        elif message["type"] == "websocket.close":
            self.socket.send_close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(f"Not expected of an open WebSocket: {message['type']!r}.")

    def _answer_handshake(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.accept":
            self._accept(message)
        elif message["type"] == "websocket.close":
            self._refuse(HTTPStatus.FORBIDDEN, [], b"")
        elif message["type"] == "websocket.http.response.start":
            self.response = message["status"], [*message.get("headers", ())], b""
        elif message["type"] == "websocket.http.response.body" and self.response is not None:
            status, headers, body = self.response
            self.response = status, headers, body + message.get("body", b"")
            if not message.get("more_body", False):
                self._refuse(*self.response)
        else:
            raise RuntimeError(f"Not expected of a handshake: {message['type']!r}.")

    def _accept(self, message: WebSocketAcceptEvent) -> None:
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
        headers += [(b"Sec-WebSocket-Accept", self.accept_key)]
        headers += [*self.server_state.default_headers, *message.get("headers", ())]
        subprotocol = message.get("subprotocol")
        if subprotocol:
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        self.answered = True
        head = _http_head(HTTPStatus.SWITCHING_PROTOCOLS, headers)
        self.socket.accept(head, self.config.ws_ping_interval)

    def _refuse(self, status: int, headers: list[Header], body: bytes) -> None:
        self.answered = True
        self.socket.refuse(http_response(status, headers, body))

    def pause(self) -> None:
        self.writable.clear()

    def resume(self) -> None:
        self.writable.set()


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
    first = f"HTTP/1.1 {status} {responses.get(status, '')}".encode()
    return b"\r\n".join((first, *(b"%b: %b" % header for header in headers), b"\r\n"))


def _bytes_of(text: str) -> bytes:
    """A part of the head as it came: websockets decodes it as Latin-1, before 17.0 as ASCII with
    surrogates."""
    return text.encode("latin-1", "surrogateescape")

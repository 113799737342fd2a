"""What of the short way does not show on the wire: pings that time must pass for, and what is left
of a connection in memory."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import pytest
from chat.fanout.batch import Flusher
from chat.fanout.transport import SendQueue, socket_of
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.protocol import Protocol

from chat.server.frame_parser import MASKED, PONG
from chat.server.websocket_protocol import PING_FRAME, DirectWebSocket
from tests.support.raw import CLOSE, TEXT, frame
from tests.support.waiting import until

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Receiver:
    def receive(self, sent: Any) -> None: ...
    def end(self) -> None: ...


class Open(DirectWebSocket):
    """An open one, and whether it was given up."""

    def __init__(self) -> None:
        self.given_up = False
        self.made = Transport()
        self.transport = cast("Any", self.made)
        self.close_sent = False
        self._unanswered = self._held_back = self._fragmented = False
        self._partial = None
        self._short = self.receiver = Receiver()
        self.send_queue = None

    def keepalive_timeout(self) -> None:
        self.given_up = True


def test_a_client_that_answers_is_asked_again() -> None:
    socket = Open()
    for _ in range(3):
        assert socket.ping()
        socket.data_received(bytes((PONG, MASKED, 1, 2, 3, 4)))
    assert socket.made.written == [PING_FRAME] * 3
    assert not socket.given_up


def test_one_that_does_not_is_given_up_at_the_next() -> None:
    socket = Open()
    assert socket.ping()
    assert not socket.ping()
    assert socket.given_up
    assert socket.made.written == [PING_FRAME]


def test_nobody_is_blamed_for_what_is_not_read() -> None:
    socket = Open()
    assert socket.ping()
    socket.pause_frames()
    assert socket.ping()
    socket.resume_frames()
    socket.data_received(bytes((PONG, MASKED, 1, 2, 3, 4)))
    assert socket.ping()
    assert not socket.given_up


class Opened(Receiver):
    """What holds a connection and is held by it, as its conversation is."""

    def __init__(self, scope: Any) -> None:
        socket = socket_of(scope)
        assert socket is not None
        self.send_queue = SendQueue(socket, Flusher(asyncio.get_running_loop()))
        socket.open(self, self.send_queue)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("how", ["closed", "lost", "lost within a message", "closed by the server"])
async def test_nothing_is_left_of_a_connection_that_has_ended(how: str) -> None:
    """Without the collector, which would look for it ever more rarely."""
    there: dict[Any, Opened] = weakref.WeakValueDictionary()  # type: ignore[assignment]
    made: weakref.WeakSet[DirectWebSocket] = weakref.WeakSet()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        there[how] = Opened(scope)

    def connected() -> DirectWebSocket:
        socket = DirectWebSocket(config=config, server_state=ServerState(), app_state={})
        made.add(socket)
        return socket

    config = Config(app, interface="asgi3", log_config=None, ws_ping_interval=None)
    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: how in there, "it is open")
    if how == "closed by the server":
        there[how].send_queue.close(4000)
    elif how == "lost within a message":
        writer.write(frame("begun", TEXT, first=0))
        await until(lambda: next(iter(made))._fragmented, "it has begun")
    if how.startswith("closed"):
        writer.write(frame((1000).to_bytes(2), CLOSE))
        await reader.read()
    writer.transport.abort()
    await until(lambda: not made and not there, "nothing is left")
    assert not [each for each in gc.get_objects() if isinstance(each, Protocol)]
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()
    server.close()

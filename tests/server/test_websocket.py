"""What uvicorn requires of a WebSocket class, what an ASGI application may ask of it, and what of a
connection does not show on the wire: pings that time must pass for, and what is left in memory."""

import asyncio
import contextlib
import gc
import json
import sys
import weakref
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.protocol import Protocol

from chat.fanout.send_queue import EXTENSION, Flusher, SendQueue
from chat.server import frames
from chat.server.frames import TURN_FRAMES
from chat.server.websocket import PING_FRAME, TURN_BYTES, AsgiWebSocket, WebSocket
from tests.support.raw import BINARY, CLOSE, PING, PONG, frame
from tests.support.waiting import until

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
App = Callable[[Any, Any, Any], Any]


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading, self.closing, self.ended = True, False, False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> None: ...


class Application:
    """Holds a connection that it has taken over, and is held by it."""

    def __init__(self, scope: Any) -> None:
        self.received: list[str | bytes] = []
        self.charged = 0
        self.allows = True  # frames that are no message
        self.ended = False
        socket = scope["extensions"][EXTENSION]
        self.send_queue = SendQueue(socket, Flusher(asyncio.get_running_loop()))
        socket.open(self, self.send_queue)

    def receive(self, sent: Any) -> None:
        self.received += sent

    def charge(self) -> bool:
        self.charged += 1
        return self.allows

    def end(self, code: int) -> None:
        self.ended = True


def config(app: App, ws: type[WebSocket] = WebSocket, **settings: Any) -> uvicorn.Config:
    made = uvicorn.Config(
        app, interface="asgi3", log_config=None, ws=ws, lifespan="off", **settings
    )
    made.load()
    return made


@pytest.fixture
async def made() -> tuple[WebSocket, Transport, Application]:
    """An open connection on a transport that only notes what is asked of it."""
    opened: asyncio.Future[Application] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        opened.set_result(Application(scope))

    socket, transport = WebSocket(config(app), ServerState(), {}), Transport()
    socket.connection_made(cast("Any", transport))
    socket.data_received(HANDSHAKE)
    application = await opened
    transport.written.clear()
    return socket, transport, application


Made = tuple[WebSocket, Transport, Application]

# --- frames ---------------------------------------------------------------------------------


async def test_frames_wait_while_they_are_paused(made: Made) -> None:
    socket, transport, application = made
    socket.pause_frames()
    socket.data_received(frame("a") + frame(b"b", BINARY) + frame("c")[:3])
    assert not transport.reading
    assert not application.received
    socket.resume_frames()
    assert not application.received  # a pause ends a turn
    await asyncio.sleep(0)
    socket.data_received(frame("c")[3:] + frame("d"))
    assert transport.reading
    assert application.received == ["a", b"b", "c", "d"]


async def test_what_waits_when_the_connection_is_lost_is_handed_over(made: Made) -> None:
    socket, transport, application = made
    socket.pause_frames()
    socket.data_received(frame("a") + frame("b", first=0) + frame("c", 0) + frame("d")[:3])
    transport.closing = True
    socket.connection_lost(None)
    assert not application.received
    socket.resume_frames()
    await asyncio.sleep(0)
    assert application.received == ["a", "bc"]
    assert application.ended
    assert not transport.written


FLOODS = {
    "texts": frame("x"),
    "binary": frame(b"x", BINARY),
    "pings": frame(b"x", PING),
    "pongs": frame(b"x", PONG),
    "fragments": frame("", 0, first=0),
}


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("sent", FLOODS.values(), ids=FLOODS)
async def test_a_turn_is_a_bounded_number_of_frames(made: Made, sent: bytes, lost: bool) -> None:
    socket, transport, application = made
    socket.data_received(frame("begun", first=0) if sent == FLOODS["fragments"] else b"")
    socket.data_received(sent * 10 * TURN_FRAMES)
    if lost:
        transport.closing = True
        socket.connection_lost(None)
    turns, heard = 0, 0
    while (now := len(application.received) + application.charged) < 10 * TURN_FRAMES:
        assert now - heard <= 2 * TURN_FRAMES
        assert not transport.reading
        assert not application.ended
        turns, heard = turns + 1, now
        await asyncio.sleep(0)
    assert turns > 7
    await asyncio.sleep(0)
    assert application.ended is lost
    assert transport.reading is not lost


async def test_a_pause_and_a_turn_end_each_on_its_own(made: Made) -> None:
    socket, transport, application = made
    socket.data_received(frame("x") * (3 * TURN_FRAMES + 1))
    socket.pause_frames()
    await asyncio.sleep(0)
    assert len(application.received) == 2 * TURN_FRAMES
    socket.resume_frames()
    await asyncio.sleep(0)
    assert len(application.received) == 3 * TURN_FRAMES
    assert not transport.reading
    await asyncio.sleep(0)
    assert transport.reading


async def test_a_turn_is_a_bounded_number_of_bytes(made: Made) -> None:
    socket, transport, application = made
    socket.data_received(frame("x" * TURN_BYTES))
    assert application.received == ["x" * TURN_BYTES]
    assert not transport.reading
    await asyncio.sleep(0)
    assert transport.reading


async def test_pongs_of_a_turn_leave_together_and_before_other_answers(made: Made) -> None:
    socket, transport, _ = made
    pings = frame(b"a", PING) + frame("x", first=0) + frame(b"b", PING)
    socket.data_received(pings + frame("y", 0) + frame(b"c", PING))
    assert transport.written == [b"\x8a\x01a\x8a\x01b", b"\x8a\x01c"]


async def test_while_the_transport_is_full_one_pong_is_owed(made: Made) -> None:
    socket, transport, _ = made
    socket.pause_writing()
    socket.data_received(frame(b"a", PING) + frame(b"b", PING))
    socket.data_received(frame(b"c", PING))
    assert not transport.written
    for _ in range(2):
        socket.resume_writing()
        assert transport.written == [b"\x8a\x01c"]


async def test_a_ping_that_is_not_allowed_is_not_answered(made: Made) -> None:
    socket, transport, application = made
    application.allows = False
    socket.data_received(frame(b"a", PING) + frame("x", first=0) + frame("y", 0))
    assert not transport.written
    assert (application.charged, application.received) == (2, ["xy"])


async def test_after_our_close_only_the_clients_counts(made: Made) -> None:
    socket, transport, application = made
    socket.data_received(frame("before"))
    socket.send_close(4000, "why")
    socket.send_close(4001, "again")
    socket.data_received(frame("after") + frame("", PING) + frame(b"\xff"[:0], BINARY))
    assert not transport.closing
    socket.data_received(frame((4000).to_bytes(2), CLOSE) + frame("later"))
    await until(lambda: transport.closing, "the client's close frame is found")
    assert transport.written == [b"\x88\x05" + (4000).to_bytes(2) + b"why"]
    assert application.received == ["before"]
    assert application.ended


@pytest.mark.parametrize(("before", "found"), [(900, True), (1100, False)])
async def test_a_close_frame_is_looked_for_among_so_many(
    made: Made, before: int, found: bool
) -> None:
    socket, transport, _ = made
    socket.send_close(4000, "")
    socket.data_received(frame("", PING) * before + frame((4000).to_bytes(2), CLOSE))
    assert transport.closing is found
    assert transport.reading is found
    if not found:
        await until(lambda: transport.reading, "the rest is read, slowly")
        socket.data_received(frame((4000).to_bytes(2), CLOSE))
        assert not transport.closing


async def test_who_takes_over_too_late_is_told_of_the_end() -> None:
    accepted, late = asyncio.Event(), asyncio.Event()
    applications: list[Application] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        accepted.set()
        await late.wait()
        applications.append(Application(scope))

    socket, transport = WebSocket(config(app), ServerState(), {}), Transport()
    socket.connection_made(cast("Any", transport))
    socket.data_received(HANDSHAKE)
    await accepted.wait()
    socket.shutdown()
    late.set()
    await until(lambda: applications, "it has taken over")
    assert applications[0].ended
    socket.data_received(frame((1012).to_bytes(2), CLOSE))
    assert transport.closing


async def test_nothing_counts_behind_an_error(made: Made) -> None:
    socket, transport, application = made
    socket.data_received(frame("before") + frame("", 3) + frame("after"))
    socket.data_received(frame("later") + frame((1000).to_bytes(2), CLOSE))
    assert application.received == ["before"]
    assert transport.written == [b"\x88\x10" + (1002).to_bytes(2) + b"invalid opcode"]
    assert transport.ended
    assert not transport.closing  # read on: else the kernel would reset the connection
    assert not transport.reading
    await until(lambda: transport.reading, "but slowly")


# --- pings ----------------------------------------------------------------------------------


def test_a_client_that_answers_is_asked_again(made: Made) -> None:
    socket, transport, _ = made
    for _ in range(3):
        assert socket.ping()
        socket.data_received(frame("", PONG))
    assert transport.written == [PING_FRAME] * 3


async def test_one_that_does_not_is_closed_at_the_next(made: Made) -> None:
    socket, transport, application = made
    assert socket.ping()
    assert not socket.ping()
    reason = b"keepalive ping timeout"
    assert transport.written == [PING_FRAME, b"\x88\x18" + (1011).to_bytes(2) + reason]
    assert application.ended


def test_nobody_is_blamed_for_what_is_not_read(made: Made) -> None:
    socket, _, application = made
    assert socket.ping()
    socket.pause_frames()
    assert socket.ping()
    socket.resume_frames()
    socket.data_received(frame("", PONG))
    assert socket.ping()
    assert not application.ended


# --- memory ---------------------------------------------------------------------------------


def test_an_open_connection_is_small(made: Made) -> None:
    socket, _, _ = made
    held = gc.get_referents(socket)
    assert not hasattr(socket, "__dict__")
    assert sys.getsizeof(socket) <= 136
    socket.data_received(frame("a")[:3])
    socket.data_received(frame("a")[3:])
    socket.received = 0
    assert gc.get_referents(socket) == held


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched(WebSocket):
    """One that can be referred to weakly."""


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("how", ["closed", "lost", "lost within a message", "closed by the server"])
async def test_nothing_is_left_of_a_connection_that_has_ended(how: str) -> None:
    """Without the collector, which would look for it ever more rarely."""
    there: weakref.WeakValueDictionary[str, Application] = weakref.WeakValueDictionary()
    sockets: weakref.WeakSet[WebSocket] = weakref.WeakSet()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        there[how] = Application(scope)

    def connected() -> WebSocket:
        socket = Watched(settings, ServerState(), {})
        sockets.add(socket)
        return socket

    settings = config(app)
    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: how in there, "it is open")
    if how == "closed by the server":
        there[how].send_queue.close(4000)
    elif how == "lost within a message":
        writer.write(frame("begun", first=0) + frame("", PING))
        await reader.readexactly(2)  # the pong: all has been read
    if how.startswith("closed"):
        writer.write(frame((1000).to_bytes(2), CLOSE))
        await reader.read()
    writer.transport.abort()
    await until(lambda: not sockets and not there, "nothing is left")
    assert not [each for each in gc.get_objects() if isinstance(each, Protocol)]
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()
    server.close()


# --- below uvicorn --------------------------------------------------------------------------


@asynccontextmanager
async def served(
    app: App, ws: type[WebSocket] = WebSocket, **settings: Any
) -> AsyncIterator[uvicorn.Server]:
    """uvicorn with its own HTTP class: it parses the head and puts it together again."""
    server = uvicorn.Server(config(app, ws, host="127.0.0.1", port=0, http="h11", **settings))
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


def url(server: uvicorn.Server) -> str:
    return f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/some%20where?a=b"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    subprotocol = next(iter(scope["subprotocols"]), None)
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [(b"x", b"y")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", **{k: message[k] for k in ("text", "bytes")}})


@pytest.mark.parametrize("ws", [WebSocket, AsgiWebSocket])
async def test_uvicorn_serves_an_application_through_it(ws: type[WebSocket]) -> None:
    """It gets the class's arguments and the whole head, and finds the connection and its task in
    its state while they last."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with served(app, ws) as server:
        state = server.server_state
        async with connect(url(server), subprotocols=cast("Any", ["chat"])) as client:
            assert client.subprotocol == "chat"
            assert client.response is not None
            assert client.response.headers["x"] == "y"
            for message in ("grüße", b"\xff", "x" * 100_000, ""):
                await client.send(message)
                assert await client.recv() == message
            [connection], [_] = state.connections, state.tasks
            assert type(connection) is ws
            address = client.local_address
        await until(lambda: not (state.connections or state.tasks), "uvicorn need not wait")
    [scope] = scopes
    assert (scope["path"], scope["raw_path"]) == ("/some where", b"/some%20where")
    assert (scope["query_string"], scope["subprotocols"]) == (b"a=b", ["chat"])
    assert (scope["client"], scope["scheme"]) == (address, "ws")
    assert (b"sec-websocket-version", b"13") in scope["headers"]
    assert (EXTENSION not in scope["extensions"]) is (ws is AsgiWebSocket)


async def test_a_server_that_ends_closes_with_1012() -> None:
    async with served(echo) as server, connect(url(server)) as client:
        await server.shutdown()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert not server.server_state.connections
        assert not server.server_state.tasks


async def test_a_server_that_ends_refuses_a_handshake_that_is_not_answered() -> None:
    begun, lost = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        begun.set()
        assert (await receive())["code"] == 1006
        with pytest.raises(OSError):  # noqa: PT011 - that is what ASGI promises
            await send({"type": "websocket.accept"})
        lost.set()

    async with served(app) as server:
        connecting = asyncio.create_task(connect(url(server)).__aenter__())
        await begun.wait()
        await server.shutdown()
        with pytest.raises(InvalidStatus) as refused:
            await connecting
        assert refused.value.response.status_code == 503
        await lost.wait()


async def refused(app: App) -> tuple[int, bytes | bytearray]:
    """The status and the body of a handshake's answer."""
    async with served(app) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(url(server)).__aenter__()
    response = refusal.value.response
    assert response.headers["content-length"] == str(len(response.body or b""))
    return response.status_code, response.body or b""


async def test_an_application_refuses() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = {"status": 418, "headers": [(b"content-type", b"text/tea")]}
        await send({"type": "websocket.http.response.start", **head})
        for part, more in ((b"tea", True), (b"pot", False)):
            message = {"type": "websocket.http.response.body", "body": part, "more_body": more}
            await send(message)

    assert await refused(app) == (418, b"teapot")


async def test_an_application_closes_before_it_accepts() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    assert await refused(app) == (403, b"")


async def test_an_application_fails_in_the_handshake() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    assert await refused(app) == (500, b"")


async def test_an_application_closes_and_may_not_send_after_that() -> None:
    codes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000, "reason": "why"})
        with pytest.raises(OSError):  # noqa: PT011 - that is what ASGI promises
            await send({"type": "websocket.send", "text": "late"})
        codes.append((await receive())["code"])

    async with served(app) as server, connect(url(server)) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "why")
    assert codes == [4000]


async def test_a_client_that_answers_no_ping_is_closed() -> None:
    """Where the application has not taken over, the connection pings by itself."""
    socket = WebSocket(config(echo, ws_ping_interval=0.01), ServerState(), {})
    transport = Transport()
    socket.connection_made(cast("Any", transport))
    socket.data_received(HANDSHAKE)
    await until(lambda: len(transport.written) > 2, "it has ended")
    reason = b"keepalive ping timeout"
    assert transport.written[1:] == [PING_FRAME, b"\x88\x18" + (1011).to_bytes(2) + reason]


# --- conformance ----------------------------------------------------------------------------

KOSOKU = """
import asyncio, json, sys
from kosoku import FailureError, run_fuzzingclient

async def main():
    try:
        results = await run_fuzzingclient(sys.argv[1], None, ["9.*", "12.*", "13.*"], concurrency=8)
    except FailureError as failure:
        results = failure.results
    print(json.dumps({case.case_id: case.passed for case in results}), flush=True)

asyncio.run(main())
"""
CASES = 247  # all but speed (9) and compression (12, 13)


class Echo(Application):
    def receive(self, sent: Any) -> None:
        for each in sent:
            text = isinstance(each, str)
            payload = each.encode() if text else each
            self.send_queue.push_frame(
                frames.frame(Opcode.TEXT if text else Opcode.BINARY, payload)
            )


async def echo_directly(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    Echo(scope)


@pytest.mark.parametrize("app", [echo, echo_directly], ids=["through ASGI", "directly"])
async def test_the_autobahn_cases(app: App) -> None:
    """In a process of its own: it brings an `autobahn` that shadows daphne's. It may die after
    it has printed, so its results count, not its exit code."""
    ws = WebSocket if app is echo_directly else AsgiWebSocket
    async with served(app, ws, ws_max_size=128 * 1024) as server:
        command = (sys.executable, "-c", KOSOKU, url(server))
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
        output, _ = await process.communicate()
    passed = json.loads(output)
    assert [case for case, good in passed.items() if not good] == []
    assert len(passed) == CASES

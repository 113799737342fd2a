"""What `manage.py serve` bounds, and what it does not write down (design.md section 5)."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from chat.server import run as ours
from tests.support.servers import Server, start_server, token

FRAME_BYTES = 128 * 1024
UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
CHANNELS = {
    "limits": {"subscribe": True, "historyStart": 0, "messages": {"*": {"publish": True}}},
}


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[ClientConnection]:
    url = f"{server.ws_url}?token={token(server, channels=CHANNELS)}"
    connection = await connect(url, compression=None)
    assert json.loads(await connection.recv())["event"] == "hotsock.connected"
    yield connection
    if connection.state is not State.CLOSED:
        await connection.close()


async def close_code(connection: ClientConnection) -> int:
    async with asyncio.timeout(10):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def padded(size: int) -> str:
    """A ping of `size` bytes."""
    return '{"event":"hotsock.ping"}'.ljust(size)


# --- frames ---------------------------------------------------------------------------------


async def test_a_frame_of_the_largest_size_is_answered(connection: ClientConnection) -> None:
    await connection.send(padded(FRAME_BYTES))
    assert json.loads(await connection.recv())["event"] == "hotsock.pong"


@pytest.mark.parametrize("size", [FRAME_BYTES + 1, 200 * 1024, 4 * 1024 * 1024])
async def test_a_larger_frame_is_closed_with_1009(connection: ClientConnection, size: int) -> None:
    await connection.send(padded(size))
    assert await close_code(connection) == 1009


async def test_so_is_one_in_fragments(connection: ClientConnection) -> None:
    await connection.send([padded(FRAME_BYTES // 2), " " * FRAME_BYTES])
    assert await close_code(connection) == 1009


async def test_what_came_in_one_piece_before_a_larger_frame_is_done(
    server: Server, connection: ClientConnection
) -> None:
    await connection.send('{"event":"hotsock.subscribe","channel":"limits"}')
    assert json.loads(await connection.recv())["event"] == "hotsock.subscribed"
    watching = f"{server.ws_url}?token={token(server, channels=CHANNELS)}"
    async with connect(watching) as watcher, asyncio.timeout(10):
        await watcher.send('{"event":"hotsock.subscribe","channel":"limits"}')
        while json.loads(await watcher.recv())["event"] != "hotsock.subscribed":
            pass
        frames = ('{"event":"last","channel":"limits"}', padded(FRAME_BYTES + 1))
        pieces = [Frame(Opcode.TEXT, frame.encode()).serialize(mask=True) for frame in frames]
        connection.transport.write(b"".join(pieces))
        assert json.loads(await watcher.recv())["event"] == "last"
    assert await close_code(connection) == 1009


# --- handshakes -----------------------------------------------------------------------------


def handshake(path: str, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    key = b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    return b"GET %b HTTP/1.1\r\nhost: a\r\n%b%b%b\r\n" % (path.encode(), UPGRADE, key, lines)


def answer(server: Server, request: bytes) -> bytes:
    """What comes until the server closes; within 5 s."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(request)
        received = b""
        while piece := raw.recv(65536):
            received += piece
    return received


async def test_a_token_of_60_kib_opens_a_connection(server: Server) -> None:
    long = token(server, padding="x" * 44 * 1024)
    assert len(long) > 60_000
    async with connect(f"{server.ws_url}?token={long}") as connection:
        assert json.loads(await connection.recv())["event"] == "hotsock.connected"


@pytest.mark.parametrize("size", [130 * 1024, 240 * 1024, 600 * 1024])
async def test_a_longer_request_is_refused_in_words(server: Server, size: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{server.ws_url}?token={'x' * size}")
    assert refused.value.response.status_code in {400, 414}


def test_a_query_of_60_kib_is_served_over_http(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz?token={'x' * 60 * 1024}").status_code == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (handshake("/v1?token=nonsense"), b"401"),
        (handshake("/v2"), b"404"),
        (handshake("/v1", *(b"x-%d: 1" % number for number in range(200))), b"431"),
        (b"GET /v1 HTTP/1.1\r\nhost: a\r\n" + UPGRADE + b"\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_a_refused_handshake_is_answered_and_closed(
    server: Server, request_: bytes, status: bytes
) -> None:
    assert answer(server, request_).split()[1] == status


def test_a_refused_handshake_is_no_error_of_the_server(server: Server) -> None:
    before = len(server.log.read_text())
    answer(server, handshake("/v1?token=nonsense"))
    said = server.log.read_text()[before:]
    assert "was refused" in said
    assert "ERROR" not in said


def test_who_does_not_finish_a_request_within_10_seconds_is_closed(server: Server) -> None:
    beginnings = [b"", b"GET /healthz HTTP/1.1\r\nhost:", handshake("/v1")[:-2]]
    raws = [socket.create_connection(("127.0.0.1", server.port), 13) for _ in beginnings]
    began = time.monotonic()
    for raw, beginning in zip(raws, beginnings, strict=True):
        raw.sendall(beginning)
    for raw in raws:
        with raw:
            assert raw.recv(1) == b""
    assert 9 < time.monotonic() - began < 13


def bodies(size: int) -> Iterator[bytes]:
    """`size` bytes in pieces, so that httpx sends them chunked."""
    for _ in range(size // 65536):
        yield b"x" * 65536


def test_a_body_of_more_than_a_mebibyte_is_refused_before_all_of_it_came(server: Server) -> None:
    began = time.monotonic()
    origin = {"origin": "https://app.example"}
    answered = httpx.post(f"{server.url}/tokens", content=bodies(3 * 1024 * 1024), headers=origin)
    assert answered.status_code == 413
    assert answered.json()["error"]["code"] == "DATA_TOO_LARGE"
    assert answered.headers["access-control-allow-origin"] == "*"
    raw = socket.create_connection(("127.0.0.1", server.port), 5)
    with raw:
        raw.sendall(b"POST /tokens HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n")
        for piece in bodies(2 * 1024 * 1024):
            raw.sendall(piece)
        assert b"".join(iter(lambda: raw.recv(1024), b"")).split()[1] == b"413"
    assert time.monotonic() - began < 5


def test_a_smaller_body_is_for_the_view_to_judge(server: Server) -> None:
    answered = httpx.post(f"{server.url}/tokens", content=bodies(512 * 1024))
    assert answered.status_code == 413
    assert answered.json()["error"]["message"]


# --- sockets --------------------------------------------------------------------------------


def test_a_client_that_acknowledges_nothing_is_given_up_after_30_seconds() -> None:
    with (
        ours.listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert timeout == 30_000


# --- what is said ---------------------------------------------------------------------------


def test_no_answer_says_what_the_server_is_made_of(server: Server) -> None:
    assert "server" not in httpx.get(server.url + "/healthz").headers


@pytest.mark.parametrize("kind", ["uvicorn", "runserver"])
async def test_no_secret_is_in_the_log(tmp_path: Path, kind: str) -> None:
    with await asyncio.to_thread(start_server, kind, tmp_path) as server:
        opened, refused = token(server), token(server, scope="none")
        async with connect(f"{server.ws_url}?token={opened}") as connection:
            data = json.loads(await connection.recv())["data"]
            names = ("connectionId", "connectionSecret")
            credentials = urlencode({name: data[name] for name in names})
            address = f"{server.url}/connection/listMessages?{credentials}"
            async with httpx.AsyncClient() as client:
                for body in ('{"channel":"c"}', "nonsense"):
                    await client.post(address, content=body)
        with pytest.raises(InvalidStatus):
            await connect(f"{server.ws_url}?token={refused}")
        server.stop()
        said = server.log.read_text()
    assert "/connection/listMessages" in said
    for secret in (opened, refused, data["connectionSecret"], "connectionSecret"):
        assert secret not in said

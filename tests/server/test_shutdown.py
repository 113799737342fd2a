"""How `manage.py serve` ends: in order when asked once, at once when asked again."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.servers import (
    ROOT,
    Server,
    free_port,
    server_environment,
    start_server,
    token,
)

LIMIT_SECONDS = 15


@pytest.fixture
async def ending(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the test's own, which it may stop."""
    start = partial(start_server, "uvicorn", tmp_path, CLIENT_FRAMES_PER_SECOND="0")
    with await asyncio.to_thread(start) as server:
        yield server


async def connected(server: Server, stack: AsyncExitStack, count: int) -> list[ClientConnection]:
    url = f"{server.ws_url}?token={token(server)}"
    return [await stack.enter_async_context(connect(url)) for _ in range(count)]


async def close_of(connection: ClientConnection) -> tuple[int, float]:
    """The close code that the client gets, and when."""
    async with asyncio.timeout(LIMIT_SECONDS):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006, time.monotonic()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_cleanly_when_asked(ending: Server, signum: signal.Signals) -> None:
    assert await asyncio.to_thread(ending.stop, signum) == 0
    assert "Traceback" not in ending.log.read_text()


def test_who_came_just_before_is_answered(tmp_path: Path) -> None:
    with start_server("uvicorn", tmp_path) as server:
        early = socket.create_connection(("127.0.0.1", server.port), LIMIT_SECONDS)
        assert server.healthy()  # behind it
        server.send_signal(signal.SIGTERM)
        while listens(server.port):
            pass
        with early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b"".join(iter(partial(early.recv, 4096), b""))  # to the end of the connection
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert server.wait() == 0


def listens(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


async def test_connections_are_closed_one_after_another_with_1012(ending: Server) -> None:
    async with AsyncExitStack() as stack:
        connections = await connected(ending, stack, 20)
        closes = asyncio.gather(*map(close_of, connections))
        assert await asyncio.to_thread(ending.stop) == 0
        codes, times = zip(*await closes, strict=True)
    assert set(codes) == {1012}
    assert max(times) - min(times) > 0.5
    assert "Traceback" not in ending.log.read_text()


async def test_a_client_that_never_stops_sending_learns_of_it_too(ending: Server) -> None:
    async def send_on(connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await connection.send('{"event":"hotsock.heartbeat"}' + " " * 10_000)

    async with AsyncExitStack() as stack:
        [connection] = await connected(ending, stack, 1)
        sending = asyncio.create_task(send_on(connection))
        closing = asyncio.create_task(close_of(connection))
        await asyncio.wait({sending, closing}, timeout=0.2)
        ending.send_signal(signal.SIGTERM)
        assert (await closing)[0] == 1012
        await sending
        assert await asyncio.to_thread(ending.wait) == 0


async def test_nobody_new_is_let_in_while_it_ends(ending: Server) -> None:
    async with AsyncExitStack() as stack:
        connections = await connected(ending, stack, 20)
        closes = [asyncio.create_task(close_of(connection)) for connection in connections]
        ending.send_signal(signal.SIGTERM)
        await asyncio.wait(closes, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(OSError, match=r"refused|reset|failed"):
            await connected(ending, stack, 1)
        await asyncio.gather(*closes)


async def test_asked_again_it_ends_at_once(ending: Server) -> None:
    async with AsyncExitStack() as stack:
        connections = await connected(ending, stack, 50)
        closes = [asyncio.create_task(close_of(connection)) for connection in connections]
        ending.send_signal(signal.SIGTERM)
        await asyncio.wait(closes, return_when=asyncio.FIRST_COMPLETED)
        assert await asyncio.to_thread(ending.stop) == 128 + signal.SIGTERM
        codes = {code for code, _ in await asyncio.gather(*closes)}
    assert codes == {1012, 1006}


async def test_it_ends_cleanly_while_somebody_else_holds_its_file(
    ending: Server, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        [connection] = await connected(ending, stack, 1)
        await connection.recv()
        with closing(sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            assert await asyncio.to_thread(ending.stop) == 0


async def test_it_comes_back_on_its_port_with_its_rows(ending: Server) -> None:
    async with AsyncExitStack() as stack:
        await connected(ending, stack, 1)
        await asyncio.to_thread(ending.restart)
        [connection] = await connected(ending, stack, 1)
        assert "hotsock.connected" in await connection.recv()


async def test_on_sighup_it_starts_again_and_its_address_stays(ending: Server) -> None:
    """Its clients are closed in order; who connects meanwhile waits, and is not refused."""

    async with AsyncExitStack() as stack:
        [connection] = await connected(ending, stack, 1)
        for times in (1, 2):
            ending.send_signal(signal.SIGHUP)
            while ending.log.read_text().count("startup complete") <= times:
                socket.create_connection(("127.0.0.1", ending.port)).close()
                await asyncio.sleep(0.02)
        assert (await close_of(connection))[0] == 1012
        await connected(ending, stack, 1)
    assert await asyncio.to_thread(ending.stop) == 0
    assert "Traceback" not in ending.log.read_text()


def test_it_ends_with_its_terminal(tmp_path: Path) -> None:
    """The same signal then."""
    terminal, other = os.openpty()
    command = [sys.executable, "manage.py", "serve", "--migrate", "--port", str(free_port())]
    log = tmp_path / "log"
    with log.open("wb") as written:
        program = subprocess.Popen(
            ["setsid", "--ctty", *command],
            cwd=ROOT,
            env=server_environment(tmp_path),
            stdin=other,
            stdout=written,
            stderr=written,
        )
    os.close(other)
    try:
        while b"Ctrl-C ends the server." not in log.read_bytes():
            assert program.poll() is None
            time.sleep(0.05)
        os.close(terminal)
        assert program.wait(LIMIT_SECONDS) == 0
    finally:
        program.kill()

"""More sockets and connections than there is room for: who is let in, and what the others are told
(protocol.md section 6; design.md section 5)."""

import asyncio
import json
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import batched
from pathlib import Path

import pytest

from chat.runtime.connection import RESERVED
from chat.server.admission import HTTP_SOCKETS
from tests.hostile.conftest import unharmed
from tests.support.connecting import Refused, handshake, subscribed
from tests.support.raw import upgrade
from tests.support.servers import Postgres, Server, keys_of, start_server, token

FULL = float(os.environ.get("HOSTILE_SCALE", "1")) > 1
IDLE = 9000 if FULL else 300
ROOM = 8192 if FULL else 100
GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

Socket = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def sockets(server: Server, number: int, source: str = "") -> AsyncIterator[list[Socket]]:
    """TCP connections that have sent nothing."""
    opened: list[Socket] = []
    local = (source, 0) if source else None
    try:
        for some in batched(range(number), 100):
            opening = (
                asyncio.open_connection("127.0.0.1", server.port, local_addr=local) for _ in some
            )
            opened += await asyncio.gather(*opening)
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def answer(server: Server, request: bytes = b"", source: str = "") -> tuple[int, bytes]:
    """Status and body of what a new socket is answered."""
    async with sockets(server, 1, source) as [(reader, writer)], asyncio.timeout(10):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture(params=["sqlite", "postgres"])
def few_descriptors(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path
) -> Iterator[Server]:
    settings = {"DATABASE_URL": postgres.database()} if request.param == "postgres" else {}
    with start_server("uvicorn", tmp_path, **settings) as server:
        limit = ROOM + max(RESERVED, ROOM // 15)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
        yield server


async def test_idle_sockets_leave_descriptors_to_those_who_are_there(
    few_descriptors: Server, channel: str
) -> None:
    """They take all places; the others are told so, and the database is reached."""
    server = few_descriptors
    async with subscribed(server, channel) as client, sockets(server, IDLE) as idle:
        refused = upgrade(token(server)), GET % b"/readyz", b""
        for status, body in [await answer(server, request) for request in refused]:
            assert status == 503
            assert json.loads(body)["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert await answer(server, GET % b"/healthz") == (200, b'{"status": "ok"}')
        await client.publish(channel, "hi")  # it is stored
        assert (await client.receive("chat"))["data"] == "hi"
        reader, writer = idle[0]
        writer.write(GET % b"/readyz")
        assert b" 200 " in await reader.readline()
    async with subscribed(server, channel):
        pass
    assert "Traceback" not in server.log.read_text()


async def test_where_descriptors_run_out_all_the_same_it_goes_on(tmp_path: Path) -> None:
    """Somebody has lowered the limit below what is open: it neither spins nor ends."""
    with start_server("uvicorn", tmp_path) as server, unharmed(server):
        async with sockets(server, 50):
            limit, most = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, most))
            async with sockets(server, 100):
                used = seconds(server)
                await asyncio.sleep(0.5)
                assert seconds(server) - used < 0.4
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, most))


def seconds(server: Server) -> float:
    """Of CPU that it has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def test_one_address_does_not_take_all_places(tmp_path: Path) -> None:
    """Sockets without a WebSocket count for its address; those of a trusted proxy do not."""
    settings = {"CONNECTIONS_PER_ADDRESS": "2", "FORWARDED_ALLOW_IPS": "127.0.0.2"}
    with start_server("uvicorn", tmp_path, **settings) as server, unharmed(server):
        get = GET % b"/readyz"
        async with sockets(server, HTTP_SOCKETS + 10), sockets(server, 100, "127.0.0.2"):
            status, body = await answer(server, get)
            assert (status, json.loads(body)["error"]["code"]) == (429, "RATE_LIMITED")
            for source in "127.0.0.2", "127.0.0.3":
                assert (await answer(server, get, source))[0] == 200
        async with sockets(server, HTTP_SOCKETS):
            pass  # they have left their places


@pytest.fixture
def behind_proxy(tmp_path: Path) -> Iterator[Server]:
    settings = {"CONNECTIONS_PER_ADDRESS": "2", "FORWARDED_ALLOW_IPS": "127.0.0.1, 10.0.0.0/8"}
    with start_server("uvicorn", tmp_path, **settings) as server, unharmed(server):
        yield server


@pytest.mark.parametrize(
    ("forwarded", "other"),
    [
        ("203.0.113.{0}, 192.0.2.7, 192.0.2.1, 10.0.0.1", "192.0.2.2, 10.0.0.1"),
        ("2001:db8:1:1::{0}", "2001:db8:1:2::1"),
    ],
    ids=["what a client has written itself", "a network of IPv6"],
)
async def test_a_client_does_not_choose_its_address(
    behind_proxy: Server, forwarded: str, other: str
) -> None:
    """It is the last one that no trusted proxy has."""

    async def opened(headers: list[tuple[str, str]]) -> object:
        url = f"{behind_proxy.ws_url}?token={token(behind_proxy)}"
        return await handshake(url, additional_headers=headers)

    held = [await opened([("X-Forwarded-For", forwarded.format(at))]) for at in range(2)]
    first, *rest = forwarded.format(3).split(", ")
    for headers in (
        [("X-Forwarded-For", forwarded.format(9))],
        [
            ("X-Forwarded-For", first),  # in two lines
            ("X-Forwarded-For", ", ".join(rest) or first),
        ],
    ):
        with pytest.raises(Refused) as refused:
            await opened(headers)
        assert refused.value.status == 429
    held.append(await opened([("X-Forwarded-For", other)]))


async def test_a_proxy_that_names_no_client_is_reported_once(behind_proxy: Server) -> None:
    for _ in range(2):
        await (await handshake(f"{behind_proxy.ws_url}?token={token(behind_proxy)}")).close()
    assert behind_proxy.log.read_text().count("sends no X-Forwarded-For") == 1


async def test_all_processes_together_let_in_no_more_of_an_address(
    postgres: Postgres, redis_url: str, tmp_path: Path
) -> None:
    """Also when they all come at the same moment."""
    settings = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url}
    settings["CONNECTIONS_PER_ADDRESS"] = "5"
    with ExitStack() as stack:
        one = stack.enter_context(start_server("uvicorn", tmp_path, **settings))
        settings |= keys_of(one)
        other = stack.enter_context(start_server("uvicorn", tmp_path, **settings))
        urls = [f"{each.ws_url}?token={token(one)}" for each in (one, other)]
        coming = (handshake(url) for url in urls * 20)
        outcomes = await asyncio.gather(*coming, return_exceptions=True)
        assert Counter(getattr(each, "status", 101) for each in outcomes) == {101: 5, 429: 35}


async def test_another_server_lets_in_no_more_connections(tmp_path: Path) -> None:
    """Daphne says 403, whatever it is told to say."""
    with start_server("daphne", tmp_path, CONNECTIONS_MAX="2") as server, unharmed(server):
        url = f"{server.ws_url}?token={token(server)}"
        _, _ = [await handshake(url) for _ in range(2)]
        with pytest.raises(Refused) as refused:
            await handshake(url)
        assert refused.value.status == 403

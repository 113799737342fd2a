"""Bodies that are too large, too slow, in too many pieces or never whole, and who sends them: most
are refused from the head on (design.md section 4, "Bodies and answers")."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlencode

import pytest

from tests.hostile.attack import FULL, SECONDS, unaffected
from tests.support.calls import LIMIT_SECONDS
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.servers import Server

KIB = 1024
ATTACKERS = 150 if FULL else 30
MOST = b" " * 999_999  # of a megabyte
ORIGIN = "origin: https://app.example"
ALLOWED = b"access-control-allow-origin: *"
ASKS_FIRST = "expect: 100-continue"
CHUNKED = "transfer-encoding: chunked"


@pytest.fixture
async def jim(attacked_uvicorn: Server, channel: str) -> AsyncIterator[Client]:
    async with subscribed(attacked_uvicorn, channel, uid=f"jim-{channel}") as client:
        yield client


def head(target: str, *headers: str, method: str = "POST") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {target} HTTP/1.1\r\nhost: a\r\n{lines}\r\n".encode()


def length(size: int) -> str:
    return f"content-length: {size}"


def key(server: Server) -> str:
    return f"authorization: Bearer {server.env['API_SECRET_KEY_1']}"


def operation(client: Client, name: str = "publishMessage", secret: str = "") -> str:
    query = {"connectionId": client.id, "connectionSecret": secret or client.secret}
    return f"/connection/{name}?{urlencode(query)}"


@asynccontextmanager
async def asked(
    server: Server, request: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def status(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Of the next answer, and its head."""
    async with asyncio.timeout(LIMIT_SECONDS):
        answered = await reader.readuntil(b"\r\n\r\n")
    return int(answered.split()[1]), answered


async def refused(server: Server, request: bytes, expected: int, code: str) -> bytes:
    """Answered so in JSON, without anything before; then the connection ends. The head."""
    async with asked(server, request) as (reader, _):
        given, answered = await status(reader)
        async with asyncio.timeout(LIMIT_SECONDS):
            body = await reader.read()
    assert (given, json.loads(body)["error"]["code"]) == (expected, code), request[:200]
    return answered


# --- the head decides -----------------------------------------------------------------------------

NO_KEY = 401, "INVALID_API_KEY"
TOO_LARGE = 413, "DATA_TOO_LARGE"
UNFINISHED = [
    (head("/publish", length(10)), *NO_KEY),
    (head("/publish", length(10), "authorization: Bearer x"), *NO_KEY),
    (head("/publish", CHUNKED), *NO_KEY),
    (head("/publish", length(10), ASKS_FIRST), *NO_KEY),
    (head("/schedules/x", length(10), method="DELETE"), *NO_KEY),
    (head("/connection/listMessages", length(10)), 401, "INVALID_CONNECTION"),
    (head("/connection/nothing", length(10)), 404, "INVALID_REQUEST"),
    (head("/publish", length(10), method="PUT"), 405, "INVALID_REQUEST"),
    (head("/publish", length(128 * KIB + 1)), *TOO_LARGE),
    (head("/publish", length(128 * KIB + 1), ASKS_FIRST), *TOO_LARGE),
    (head("/tokens", length(KIB * KIB + 1)), *TOO_LARGE),
    (head("/publish", length(10**9)) + MOST, *TOO_LARGE),
]


async def test_a_refusal_waits_for_no_body(attacked_uvicorn: Server) -> None:
    await asyncio.gather(*(refused(attacked_uvicorn, *each) for each in UNFINISHED))


async def test_a_wrong_secret_is_refused_before_the_body(jim: Client) -> None:
    request = head(operation(jim, secret="x"), length(10), ORIGIN)
    answered = await refused(jim.server, request, 401, "INVALID_CONNECTION")
    assert ALLOWED in answered.lower()


async def test_who_asks_first_is_asked_for_the_body(jim: Client, channel: str) -> None:
    body = json.dumps({"channel": channel, "event": "typing"}).encode()
    request = head(operation(jim), length(len(body)), ASKS_FIRST)
    async with asked(jim.server, request) as (reader, writer):
        assert (await status(reader))[0] == 100
        writer.write(body)
        assert (await status(reader))[0] == 202


# --- bytes, seconds, pieces -----------------------------------------------------------------------


async def test_bytes_in_chunks_are_counted(attacked_uvicorn: Server) -> None:
    size = 128 * KIB + 1
    begun = head("/publish", key(attacked_uvicorn), CHUNKED) + b"%x\r\n" % size + b" " * size
    await refused(attacked_uvicorn, begun, *TOO_LARGE)


async def test_a_body_that_does_not_come_is_not_waited_for(jim: Client) -> None:
    late = [
        head(target, key(jim.server), length(1000), ORIGIN) + b" "
        for target in ("/publish", "/tokens", operation(jim))
    ]
    answers = [refused(jim.server, each, 408, "INVALID_REQUEST") for each in late]
    allowed = [ALLOWED in answered.lower() for answered in await asyncio.gather(*answers)]
    assert allowed == [False, True, True]


async def test_a_body_that_ends_early_does_nothing(jim: Client, channel: str) -> None:
    body = json.dumps({"channel": channel, "event": "chat"}).encode()
    async with asked(jim.server, head(operation(jim), length(len(body) + 1)) + body):
        pass
    await jim.nothing()


async def test_a_body_of_many_chunks_ends_its_connection(attacked_uvicorn: Server) -> None:
    request = head("/tokens", CHUNKED) + b"1\r\nx\r\n" * 10_000
    async with asked(attacked_uvicorn, request) as (reader, _):
        async with asyncio.timeout(LIMIT_SECONDS):
            with suppress(ConnectionResetError):
                assert (await reader.read())[:12] in (b"HTTP/1.1 400", b"")  # or lost to a reset


async def test_a_head_of_many_lines_is_refused(attacked_uvicorn: Server) -> None:
    async with asked(attacked_uvicorn, head("/healthz", *["a: b"] * 2000)) as (reader, _):
        assert (await status(reader))[0] == 431


# --- many at once ---------------------------------------------------------------------------------

ENDLESS = {
    "to publish": head("/publish", length(1_000_000)),
    "to publish, in chunks": head("/publish", CHUNKED) + b"f4240\r\n",
    "to the site": head("/tokens", length(1_000_000)),
    "to the site, in chunks": head("/tokens", CHUNKED) + b"f4240\r\n",
}
SITE_TAKES = 4  # for up to 10 s


@pytest.mark.parametrize("begun", ENDLESS.values(), ids=ENDLESS)
async def test_endless_bodies_cost_the_others_nothing(
    attacked_uvicorn: Server, begun: bytes
) -> None:
    async def attack() -> int:
        async with asked(attacked_uvicorn, begun + MOST) as (reader, _):
            return (await status(reader))[0]

    async with unaffected(attacked_uvicorn):
        attacks = [asyncio.create_task(attack()) for _ in range(ATTACKERS)]
        await asyncio.sleep(SECONDS)
    held = [attacker for attacker in attacks if not attacker.done()]
    assert len(held) <= SITE_TAKES
    for attacker in held:
        attacker.cancel()
    statuses = await asyncio.gather(*attacks, return_exceptions=True)
    assert {each for each in statuses if isinstance(each, int)} <= {401, 408, 413, 503}

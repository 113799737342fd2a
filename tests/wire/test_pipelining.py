"""Requests that come behind others on one connection: each is answered, or refused with the end of
the connection; none is lost, and none is made of another's body."""

import asyncio
import re

import pytest

from tests.support.calls import LIMIT_SECONDS
from tests.support.raw import Raw, frame, upgrade
from tests.support.servers import Server, token


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: localhost", *headers, "", "")).encode() + body


HEALTH = request("GET /healthz")
END = request("GET /healthz", "Connection: close")
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
OTHERS = {
    "a call": (request("POST /publish", "Content-Length: 2", body=b"{}"), 401),
    "in chunks": (request("POST /tokens", CHUNKED, body=CHUNKS), 200),
    "long": (request("POST /tokens", "Content-Length: 15000", body=b"{}".rjust(15_000)), 200),
    "a page": (request("GET /"), 200),
    "without a body": (request("HEAD /readyz"), 200),
    "to nobody": (request("GET /nothing"), 404),
    "another protocol": (request("GET /healthz", "Connection: Upgrade", "Upgrade: h2c"), 200),
}


async def statuses(server: Server, *segments: bytes) -> list[int]:
    """Of all answers to what is sent, until the server closes. A segment waits for an answer to the
    one before it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answered = b""
    async with asyncio.timeout(LIMIT_SECONDS):
        for number, segment in enumerate(segments):
            if number:
                answered += await reader.read(1)
            writer.write(segment)
        answered += await reader.read()
    writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answered)]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("cut", [0, 1, 50, -1])
async def test_requests_behind_one_another_are_answered_each(
    server: Server, name: str, cut: int
) -> None:
    """In one segment, or cut: within the one behind the first, or in the last byte."""
    other, status = OTHERS[name]
    rest = other + HEALTH * 20 + other + END
    segments = [HEALTH + rest] if cut == 0 else [HEALTH + rest[:cut], rest[cut:]]
    expected = [200, status, *[200] * 20, status, 200]
    assert await statuses(server, *segments) == expected


async def test_more_than_is_read_at_once_is_answered_too(server: Server) -> None:
    assert await statuses(server, HEALTH * 1200 + END) == [200] * 1201


async def test_what_comes_behind_the_last_one_changes_no_answer(server: Server) -> None:
    """It said `Connection: close`: what a client may still send counts for nothing."""
    assert await statuses(server, END + HEALTH) == [200]
    last = request("POST /tokens", "Connection: close", "Content-Length: 2")
    assert await statuses(server, HEALTH + last + b"{", b"}" + HEALTH) == [200, 200]


async def test_a_handshake_may_come_behind_another_request(server: Server) -> None:
    """And what is sent with it is not lost."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    opened = Raw(reader, writer)
    opened.send(HEALTH, upgrade(token(server)), frame({"event": "hotsock.ping"}))
    async with asyncio.timeout(LIMIT_SECONDS):
        assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await opened.accepted()
    await opened.receive("hotsock.pong")
    opened.leave()


@pytest.mark.parametrize(
    "lengths", [("Content-Length: 12", CHUNKED), (CHUNKED, "content-length: 0")]
)
async def test_a_body_with_two_lengths_is_refused(server: Server, lengths: tuple[str, str]) -> None:
    """Then the connection ends: what is behind it may be a part of it."""
    sent = request("POST /tokens", *lengths, body=CHUNKS)
    assert await statuses(server, sent + HEALTH) == [400]
    assert await statuses(server, HEALTH + sent + HEALTH) == [200, 400]


async def test_a_chunked_body_behind_another_request_has_the_same_bounds(server: Server) -> None:
    many = request("POST /tokens", CHUNKED, body=b"1\r\n \r\n" * 1000 + CHUNKS)
    assert await statuses(server, HEALTH + many + HEALTH) == [200, 400]

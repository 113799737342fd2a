"""Handshakes that no honest client makes: refused with an HTTP status, and nothing is opened
(protocol.md section 6, rule 1)."""

import asyncio
import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from tests.hostile.conftest import unharmed
from tests.support.connecting import Refused, handshake, subscribed
from tests.support.servers import Server, start_server, token

KIB = 1024

QUERIES = {
    "no query": "",
    "an empty query": "?",
    "no token": "?toke=x",
    "an empty token": "?token=",
    "two empty tokens": "?token=&token=",
    "a token as a list": "?token[]=x",
    "broken percent-encoding": "?token=%",
    "percent-encoding of no digits": "?token=%zz%u0000%-1",
    "percent-encoded bytes that are not UTF-8": "?token=%ff%fe%c3%28",
    "percent-encoded NUL": "?token=%00&%00=%00",
    "percent-encoded surrogates": "?token=%ed%a0%80",
    "a line break": "?token=a%0d%0aX-Injected:%20yes",
    "only ampersands": "?" + "&" * 2000,
    "only equals signs": "?" + "=" * 2000,
    "two thousand fields": "?" + "a=b&" * 2000,
    "plus signs": "?token=" + "+" * 2000,
    "a fragment": "?x=1%23&token=x%23y",
}


async def test_a_query_without_a_good_token_is_refused(attacked: Server) -> None:
    for name, query in QUERIES.items():
        with pytest.raises(Refused) as refused:
            await handshake(f"{attacked.ws_url}{query}")
        assert refused.value.status == (401 if attacked.kind == "uvicorn" else 403), name


async def test_of_two_tokens_neither_counts_unless_they_are_the_same(attacked: Server) -> None:
    good, other = token(attacked, uid="jim"), token(attacked, uid="pam")
    opened = []
    for first, second in ((good, good), (good, other)):
        try:
            socket = await handshake(f"{attacked.ws_url}?token={first}&token={second}")
        except Refused as refused:
            opened.append(refused.status)
        else:
            opened.append('"uid":"jim"' in await socket.recv())
            await socket.close()
    assert opened == [True, 401 if attacked.kind == "uvicorn" else 403]


@pytest.mark.parametrize("size", [64 * KIB + 1, 100 * KIB, 120 * KIB])
async def test_a_token_over_64_kib_is_refused(attacked_serve: Server, size: int) -> None:
    with pytest.raises(Refused) as refused:
        await handshake(f"{attacked_serve.ws_url}?token={'x' * size}")
    assert refused.value.status == 401


GARBAGE = {
    "100 KiB of letters": b"x" * 100 * KIB,
    "100 KiB of ampersands": b"&" * 100 * KIB,
    "100 KiB of fields": b"token=x&" * (100 * KIB // 8),
    "100 KiB of percent signs": b"%" * 100 * KIB,
    "1 MiB": b"x" * 1024 * KIB,
    "bytes that are not ASCII": b"token=\xff\xfe\xc3\x28",
    "NUL": b"token=\0",
    "a space": b"token=a b",
    "a second line": b"token=x HTTP/1.1\r\nX: y\r\n\r\nGET /v1?token=y",
}


async def test_garbage_as_a_query_opens_nothing(attacked: Server) -> None:
    for name, query in GARBAGE.items():
        status = await raw_handshake(attacked, b"/v1?" + query)
        assert status is None or 400 <= status < 500, name


HEADERS = {
    "no key": {b"Sec-WebSocket-Key": None},
    "a key that is none": {b"Sec-WebSocket-Key": b"\xff"},
    "an empty key": {b"Sec-WebSocket-Key": b""},
    "an old version": {b"Sec-WebSocket-Version": b"8"},
    "no version": {b"Sec-WebSocket-Version": None},
    "a version that is no number": {b"Sec-WebSocket-Version": b"thirteen"},
    "an extension nobody knows": {b"Sec-WebSocket-Extensions": b"x; y=" + b'"' * 100},
    "an extension that is not one": {b"Sec-WebSocket-Extensions": b",;=,;="},
    "another protocol": {b"Upgrade": b"h2c"},
    "a body": {b"Content-Length": b"5"},
    "a length that is none": {b"Content-Length": b"five"},
    "no host": {b"Host": None},
    "500 headers": {b"X-%d" % at: b"x" for at in range(500)},
    "a header of 100 KiB": {b"X": b"x" * 100 * KIB},
    "headers that are not ASCII": {b"User-Agent": b"\xff\xfe" * 200, b"X-\xff": b"x"},
    "control characters": {b"User-Agent": b"\x01\x02"},
}


async def test_strange_headers_harm_nobody(attacked: Server) -> None:
    for name, headers in HEADERS.items():
        path = f"/v1?token={token(attacked)}".encode()
        status = await raw_handshake(attacked, path, headers)
        assert status is None or status in (101, 200) or 400 <= status < 500, name


async def raw_handshake(
    server: Server, target: bytes, headers: dict[bytes, bytes | None] | None = None
) -> int | None:
    """The status that is answered, None where the connection just ends."""
    fields: dict[bytes, bytes | None] = {
        b"Host": b"127.0.0.1",
        b"Connection": b"Upgrade",
        b"Upgrade": b"websocket",
        b"Sec-WebSocket-Key": b"AAAAAAAAAAAAAAAAAAAAAA==",
        b"Sec-WebSocket-Version": b"13",
        **(headers or {}),
    }
    lines = [b"%b: %b" % (name, value) for name, value in fields.items() if value is not None]
    body = b"hello" if b"Content-Length" in fields else b""
    request = b"GET %b HTTP/1.1\r\n%b\r\n\r\n%b" % (target, b"\r\n".join(lines), body)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(10):
            writer.write(request)
            line = await reader.readline()
    except ConnectionError:
        return None
    finally:
        writer.transport.abort()
    return int(line.split()[1]) if line else None


def forge(server: Server, token: str, old: str, new: str) -> str:
    """`token` with `old` in its payload's text replaced by `new`, signed again (HS256)."""
    header, payload, _ = token.split(".")
    text = base64.urlsafe_b64decode(f"{payload}==").decode()
    assert old in text
    signed = f"{header}.{encoded(text.replace(old, new).encode())}"
    key = base64.b64decode(server.env["SIGNING_KEY_1_ENCODED"])
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{encoded(signature)}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


ALTERED = {
    "umd of 10,000 levels": ('"UMD"', "[" * 10_000 + "]" * 10_000),
    "umd never closed": ('"UMD"', "[" * 20_000),
    "umd NaN": ('"UMD"', "NaN"),
    "umd of a lone surrogate": ('"UMD"', r'"\ud800"'),
    "umd with NUL": ('"UMD"', r'"\u0000"'),
    "umd of more than 1 KiB": ('"UMD"', f'"{"x" * KIB}"'),
    "uid with NUL": ('"jim"', r'"j\u0000m"'),
    "uid of a lone surrogate": ('"jim"', r'"\udc00"'),
    "uid twice": ('"uid":"jim"', '"uid":"jim","uid":"pam"'),
    "jti with NUL": ('"uid":"jim"', r'"singleUse":true,"jti":"\u0000"'),
    "exp beyond any number": ('"uid":"jim"', '"uid":"jim","nbf":1e999'),
    "a number of 30,000 digits": ('"uid":"jim"', f'"uid":"jim","iat":{"9" * 30_000}'),
    "10,000 levels under channels": (
        '"uid":"jim"',
        f'"channels":{{"c":{{"messages":{"[" * 10_000}{"]" * 10_000}}}}}',
    ),
    "an expression that backtracks for ever elsewhere": (
        '"uid":"jim"',
        r'"channels":{"#regex:((a*)*)*\\1$":{"subscribe":true}}',
    ),
    "an expression of a million steps": (
        '"uid":"jim"',
        '"channels":{"#regex:((((x{100}){100}){100}){100}":{"subscribe":true}}',
    ),
    "an expression with NUL": ('"uid":"jim"', r'"channels":{"#regex:\u0000(":{}}'),
}


async def test_a_token_rightly_signed_with_wrong_claims_is_refused(attacked_serve: Server) -> None:
    for name, (old, new) in ALTERED.items():
        text = forge(attacked_serve, token(attacked_serve, uid="jim", umd="UMD"), old, new)
        with pytest.raises(Refused) as refused:
            await handshake(f"{attacked_serve.ws_url}?token={text}")
        assert refused.value.status == 401, name


async def test_many_who_never_finish_their_handshake_hold_up_nobody(
    attacked: Server, channel: str
) -> None:
    """Some send nothing, some half a line, some all but the last byte."""
    openings = [b"", b"GET /v1?tok", b"GET /v1 HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01"]
    writers = []
    for at in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", attacked.port)
        writer.write(openings[at % len(openings)])
        writers.append(writer)
    async with subscribed(attacked, channel) as client:
        await client.publish(channel, "hi")
        assert (await client.receive("chat"))["data"] == "hi"
    for writer in writers:
        writer.transport.abort()


async def test_no_more_than_so_many_connections_of_one_address(tmp_path: Path) -> None:
    """Also when they all come at the same moment."""
    limit = {"CONNECTIONS_PER_ADDRESS": "5"}
    with start_server("uvicorn", tmp_path, **limit) as server, unharmed(server):
        url = f"{server.ws_url}?token={token(server)}"
        opened = await asyncio.gather(*(handshake(url) for _ in range(50)), return_exceptions=True)
        sockets = [one for one in opened if isinstance(one, ClientConnection)]
        assert len(sockets) == 5
        assert {one.status for one in opened if isinstance(one, Refused)} == {429}
        await asyncio.gather(*(one.close() for one in sockets))

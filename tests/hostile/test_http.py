"""HTTP calls that no honest client makes: a refusal in JSON with the right status, never a 500,
never half a change (protocol.md sections 14, 17 and 18)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.calls import answer, compact, http_client
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import Server

KIB = 1024
OPERATIONS = ["listMessages", "listReactions", "publishMessage"]


@pytest.fixture
async def jim(attacked: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber with one stored message; each test ends with that one and no other."""
    async with subscribed(
        attacked, channel, uid="jim", channels=room(channel, historyStart=0)
    ) as client:
        id = await client.store(channel, "the only one")
        await client.receive("chat")
        yield client
        await client.nothing()
        assert [message["id"] for message in await client.history(channel)] == [id]
        assert await client.reactions(channel, id) == []


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


# --- bodies ----------------------------------------------------------------------------------

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b"  ",
    "a word": b"channel",
    "a number": b"1",
    "null": b"null",
    "a string": b'"c"',
    "an array": b"[]",
    "half an object": b'{"channel":"c"',
    "two objects": b'{"channel":"c"}{"channel":"c"}',
    "a form": b"channel=c&event=chat",
    "NaN": b'{"channel":"c","event":"chat","data":NaN}',
    "an unknown field that is Infinity": b'{"channel":"c","event":"chat","x":Infinity}',
    "a lone surrogate": rb'{"channel":"c","event":"chat","data":"\ud800"}',
    "a lone surrogate in the channel": rb'{"channel":"\udc00","event":"chat"}',
    "NUL in the channel": rb'{"channel":"c\u0000","event":"chat","messageId":"x"}',
    "NUL in the data": rb'{"channel":"c","event":"chat","data":"\u0000","messageId":"\u0000"}',
    "NUL in an unknown field": rb'{"channel":"c","event":"chat","x":{"\u0000":1}}',
    "NUL as it is": b'{"channel":"c","event":"ch\0at"}',
    "not UTF-8": b'{"channel":"c","event":"chat","data":"\xff\xfe"}',
    "UTF-16": '{"channel":"c"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"channel":"c"}',
    "Latin-1": '{"channel":"c","event":"chat","data":"grüße"}'.encode("latin-1"),
    "10,000 levels alone": deep(10_000).encode(),
    "60,000 levels alone": deep(60_000).encode(),
    "10,000 levels as the channel": f'{{"channel":{deep(10_000)}}}'.encode(),
    "60,000 levels in an unknown field": f'{{"channel":"c","x":{deep(60_000)}}}'.encode(),
}


async def test_a_body_that_is_no_call_is_refused(jim: Client, channel: str) -> None:
    for (name, body), operation in product(BODIES.items(), OPERATIONS):
        answered = await jim.call(operation, body.replace(b'"c"', f'"{channel}"'.encode()))
        assert answered.status in (400, 404), (name, answered.text)
        assert answered.code in (
            "INVALID_MESSAGE",
            "INVALID_REQUEST",
            "INVALID_CHANNEL_NAME",
            "INVALID_EVENT_NAME",
            "MESSAGE_NOT_FOUND",
        ), name


@pytest.mark.parametrize("size", [129 * KIB, 1000 * KIB])
async def test_a_body_that_is_too_large_is_refused(jim: Client, channel: str, size: int) -> None:
    text = compact({"channel": channel, "event": "chat", "data": "x" * size})
    for operation in OPERATIONS:
        answered = await jim.call(operation, text)
        assert answered.refusal == (413, "DATA_TOO_LARGE")


async def test_a_mebibyte_in_chunks_is_refused(jim: Client, channel: str) -> None:
    """Whoever says no length is counted as it comes."""
    async with http_client(jim.server) as http:
        for each in OPERATIONS:
            path = f"/connection/{each}?{credentials(jim)}"
            answered = answer(await http.post(path, content=chunks(256)))
            assert answered.refusal == (413, "DATA_TOO_LARGE")
        assert (await http.post("/tokens", content=chunks(256))).status_code == 413


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 4 * KIB


async def test_a_body_in_chunks_without_a_length_is_read(jim: Client, channel: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in compact({"channel": channel}).encode():
            yield bytes([byte])

    async with http_client(jim.server) as http:
        path = f"/connection/listMessages?{credentials(jim)}"
        assert len((await http.post(path, content=pieces())).json()["messages"]) == 1


# --- credentials -----------------------------------------------------------------------------


def credentials(client: Client) -> str:
    return f"connectionId={quote(client.id)}&connectionSecret={quote(client.secret)}"


QUERIES: dict[str, Callable[[str, str], str]] = {
    "none": lambda id, secret: "",
    "no id": lambda id, secret: f"connectionSecret={secret}",
    "no secret": lambda id, secret: f"connectionId={id}",
    "empty": lambda id, secret: "connectionId=&connectionSecret=",
    "an unknown id": lambda id, secret: (
        f"connectionId=AAAAAAAAAAAAAAA%3D&connectionSecret={secret}"
    ),
    "a wrong secret": lambda id, secret: (
        f"connectionId={id}&connectionSecret={secret[1:]}{secret[0]}"
    ),
    "half a secret": lambda id, secret: f"connectionId={id}&connectionSecret={secret[:-1]}",
    "the other way round": lambda id, secret: f"connectionId={secret}&connectionSecret={id}",
    "NUL as the id": lambda id, secret: f"connectionId=%00&connectionSecret={secret}",
    "NUL after the id": lambda id, secret: f"connectionId={id}%00&connectionSecret={secret}",
    "NUL as the secret": lambda id, secret: f"connectionId={id}&connectionSecret=%00",
    "NUL after the secret": lambda id, secret: f"connectionId={id}&connectionSecret={secret}%00",
    "bytes that are not UTF-8": lambda id, secret: f"connectionId=%ff%fe&connectionSecret={secret}",
    "a secret that is not UTF-8": lambda id, secret: f"connectionId={id}&connectionSecret=%ff%fe",
    "a surrogate": lambda id, secret: f"connectionId=%ed%a0%80&connectionSecret={secret}",
    "a lone percent sign": lambda id, secret: f"connectionId=%&connectionSecret={secret}",
    "a long id": lambda id, secret: f"connectionId={'x' * 50_000}&connectionSecret={secret}",
    "a long secret": lambda id, secret: f"connectionId={id}&connectionSecret={'x' * 50_000}",
    "SQL": lambda id, secret: f"connectionId='%20OR%20''='&connectionSecret={secret}",
    "a wildcard": lambda id, secret: f"connectionId=%25&connectionSecret={secret}",
    "another case": lambda id, secret: f"connectionId={id.swapcase()}&connectionSecret={secret}",
    "the secret in the body's place": lambda id, secret: (
        f"connectionId={id}&connectionSecret[]={secret}"
    ),
}


async def test_wrong_credentials_are_refused(jim: Client, channel: str) -> None:
    async with http_client(jim.server) as http:
        for (name, query), operation in product(QUERIES.items(), OPERATIONS):
            text = query(quote(jim.id), quote(jim.secret))
            if jim.server.kind == "daphne":  # Twisted reads no longer request line than 16 KiB
                text = text.replace("x" * 50_000, "x" * 8_000)
            path = f"/connection/{operation}?{text}"
            answered = answer(await http.post(path, json={"channel": channel, "event": "chat"}))
            assert answered.refusal == (401, "INVALID_CONNECTION"), name


async def test_two_thousand_fields_in_the_query_are_refused(jim: Client) -> None:
    async with http_client(jim.server) as http:
        path = f"/connection/listMessages?{'a=b&' * 2000}{credentials(jim)}"
        assert answer(await http.post(path)).refusal == (400, "INVALID_REQUEST")


# --- addresses and methods -------------------------------------------------------------------

PATHS = [
    "/connection/",
    "/connection/unknown",
    "/connection/listmessages",
    "/connection/__class__",
    "/connection/%00",
    "/connection/%ff%fe",
    "/connection/listMessages%00",
    "/connection/..%2f..%2fetc%2fpasswd",
    "/connection/" + "x" * 5_000,
    "/connection/listMessages/",
    "/connection/listMessages/x",
    "//connection/listMessages",
]


async def test_an_address_that_is_none_is_not_found(jim: Client) -> None:
    async with http_client(jim.server) as http:
        for path in PATHS:
            answered = await http.post(f"{jim.server.url}{path}?{credentials(jim)}", content=b"{}")
            assert answered.status_code == 404, path


METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"]


async def test_other_methods_change_nothing(jim: Client, channel: str) -> None:
    body = {"channel": channel, "event": "chat", "data": "hi"}
    async with http_client(jim.server) as http:
        for method, operation in product(METHODS, OPERATIONS):
            path = f"/connection/{operation}?{credentials(jim)}"
            answered = await http.request(method, path, json=body)
            assert answered.status_code == 405, (method, operation)
            assert "POST" in answered.headers["allow"]


# --- /tokens ---------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "a large number": 10**40,
    "a string": "x",
    "an empty string": "",
    "a long string": "x" * 1000,
    "an array": [],
    "an array of strings": ["x"],
    "an object": {},
}
REFUSED_BY_TOKENS = {
    **{name: body for name, body in BODIES.items() if name not in ("nothing", "spaces")},
    **{
        f"sessionId {name}": json.dumps({"sessionId": value}).encode()
        for name, value in VALUES.items()
        if not isinstance(value, str | None)
    },
    **{
        f"uid {name}": json.dumps({"uid": value}).encode()
        for name, value in VALUES.items()
        if value is not None
    },
    "uid with NUL": rb'{"uid":"jim\u0000"}',
    "keys twice": b'{"uid":"jim","uid":"pam"}',
}


async def test_tokens_are_not_issued_for(attacked: Server) -> None:
    async with http_client(attacked) as http:
        for name, body in REFUSED_BY_TOKENS.items():
            answered = answer(await http.post("/tokens", content=body))
            assert answered.status in (400, 413), (name, answered.text)  # 413: more than it needs
            assert answered.code == "INVALID_REQUEST", name


NO_SESSIONS = ["", "x" * 65, "a b", "a/b", "é", "undefined", "null", "../x", "\u2028", "a\n"]


async def test_a_session_that_is_none_is_made_anew(attacked: Server) -> None:
    async with http_client(attacked) as http:
        for session in NO_SESSIONS:
            answered = await http.post("/tokens", json={"sessionId": session})
            assert answered.status_code == 200, session
            assert answered.json()["sessionId"] != session
            assert len(answered.json()["sessionId"]) >= 16, session


async def test_tokens_are_posted_for(attacked: Server) -> None:
    async with http_client(attacked) as http:
        for method in ("GET", "HEAD", "PUT", "DELETE", "NONSENSE"):
            assert (await http.request(method, "/tokens", json={})).status_code == 405, method


# --- what is no HTTP -------------------------------------------------------------------------

GARBAGE = {
    "noise": bytes(range(256)) * 40,
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + b"x" * 160,
    "a request of one line": b"GET /healthz\r\n\r\n",
    "HTTP/9": b"GET /healthz HTTP/9.9\r\n\r\n",
    "two lengths": b"POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Content-Length: 200\r\n\r\n{}",
    "a negative length": b"POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length and chunks": b"POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk without a size": b"POST /tokens HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "an unknown coding": b"POST /tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n{}",
    "a header without a name": b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    "a target that is not ASCII": b"GET /\xff\xfe?\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address of another host": b"GET http://other.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a host that is none": b"GET /healthz HTTP/1.1\r\nHost: \xff<script>\r\n\r\n",
}


async def test_what_is_no_http_harms_nobody(attacked: Server) -> None:
    for name, request in GARBAGE.items():
        answered = await answer_to(attacked, request)
        assert b" 500 " not in answered, name
        assert b"Traceback" not in answered, name


async def answer_to(attacked: Server, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", attacked.port)
    writer.write(request)
    writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return await reader.read(100_000)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()

"""Where the server answers, and to whom (protocol.md section 1)."""

import asyncio
from urllib.parse import quote

import httpx
import pytest

from tests.support.calls import answer, http_client
from tests.support.client import Client
from tests.support.connecting import Refused, connect, handshake, subscribed
from tests.support.kinds import handshake_status
from tests.support.raw import Raw, upgrade
from tests.support.servers import Server, token

ORIGIN = {"Origin": "https://app.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/", ""])
async def test_a_websocket_opens_at(any_server: Server, path: str) -> None:
    jwt = token(any_server, uid="jim")
    socket = await handshake(f"ws://127.0.0.1:{any_server.port}{path}?token={jwt}")
    client = Client(any_server, socket)
    frame = await client.receive("hotsock.connected")
    assert frame["meta"]["uid"] == "jim"
    await client.aclose()


async def test_a_handshake_behind_another_request_stays_open(server: Server) -> None:
    """As proxies send it that keep their connections."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    opened = Raw(reader, writer)
    opened.send(upgrade(token(server)))
    await opened.accepted()
    await asyncio.sleep(6)  # uvicorn closes a connection that is idle for 5
    await opened.pong()
    opened.leave()


@pytest.mark.parametrize(
    "path", ["/v2", "/v1/x", "/connection/listMessages", "/tokens", "/healthz"]
)
async def test_no_websocket_opens_at(any_server: Server, path: str) -> None:
    with pytest.raises(Refused) as refused:
        await handshake(f"ws://127.0.0.1:{any_server.port}{path}?token={token(any_server)}")
    assert refused.value.status == handshake_status(any_server, 404)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_told(any_server: Server, path: str) -> None:
    async with http_client(any_server) as http:
        assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("operation", ["listEverything", "", "listMessages/", "a/b", "a%0Ab"])
async def test_an_unknown_operation_is_not_found(any_server: Server, operation: str) -> None:
    async with connect(any_server) as client:
        assert (await client.call(operation, {})).refusal == (404, "INVALID_REQUEST")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_operations_are_posted(any_server: Server, channel: str, method: str) -> None:
    async with subscribed(any_server, channel) as client:
        answered = await client.call("listMessages", {"channel": channel}, method=method)
        assert answered.refusal == (405, "INVALID_REQUEST")
        assert "POST" in answered.headers["allow"]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain;charset=UTF-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
    ],
)
async def test_a_body_is_json_whatever_its_content_type_says(
    any_server: Server, channel: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with subscribed(any_server, channel) as client:
        body = {"channel": channel, "event": "chat", "data": "grüße"}
        assert (await client.call("publishMessage", body, headers=headers)).status == 202
        assert (await client.receive("chat"))["data"] == "grüße"


async def test_a_body_that_says_it_is_a_form_is_json(server: Server, channel: str) -> None:
    """uvicorn alone: Twisted, below daphne, takes a form apart itself, and refuses this one."""
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with subscribed(server, channel) as client:
        answered = await client.call("listMessages", {"channel": channel}, headers=headers)
        assert answered.json == {"messages": []}


@pytest.mark.parametrize("safe", ["", "="], ids=["percent-encoded", "as it is"])
async def test_a_connection_id_may_end_in_an_equals_sign(
    any_server: Server, channel: str, safe: str
) -> None:
    async with subscribed(any_server, channel) as client, http_client(any_server) as http:
        id, secret = quote(client.id, safe=safe), quote(client.secret, safe=safe)
        url = f"/connection/listMessages?connectionId={id}&connectionSecret={secret}"
        answered = await http.post(url, json={"channel": channel})
        assert answered.json() == {"messages": []}


# --- pages of other origins ---------------------------------------------------------------------

CALLS = ["/connection/listMessages", "/connection/listReactions", "/connection/publishMessage"]


@pytest.mark.parametrize("path", [*CALLS, "/tokens"])
async def test_a_preflight_allows_content_type(any_server: Server, path: str) -> None:
    async with http_client(any_server) as http:
        answered = await http.options(path, headers=PREFLIGHT)
    assert answered.status_code in (200, 204)
    assert answered.headers["access-control-allow-origin"] == "*"
    assert "content-type" in answered.headers["access-control-allow-headers"].lower()
    assert "POST" in answered.headers["access-control-allow-methods"]


def assert_readable_from_anywhere(headers: httpx.Headers) -> None:
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert "set-cookie" not in headers


async def test_answers_may_be_read_from_any_origin(any_server: Server, channel: str) -> None:
    async with subscribed(any_server, channel) as client:
        answered = await client.call("listMessages", {"channel": channel}, headers=ORIGIN)
        assert answered.status == 200
        assert_readable_from_anywhere(answered.headers)


async def test_refusals_may_be_read_from_any_origin(any_server: Server, channel: str) -> None:
    other = {"channel": f"{channel}-other"}
    calls: dict[int, tuple[str, dict[str, str] | str, dict[str, str]]] = {
        400: ("listMessages", "no JSON", {}),
        401: ("listMessages", other, {"secret": "wrong"}),
        403: ("listMessages", other, {}),
        404: ("listReactions", {"channel": channel, "messageId": "0" * 26}, {}),
        405: ("listMessages", other, {"method": "GET"}),
        413: ("listMessages", "x" * 200_000, {}),
    }
    async with subscribed(any_server, channel) as client:
        for status, (operation, body, options) in calls.items():
            answered = await client.call(operation, body, headers=ORIGIN, **options)  # type: ignore[arg-type]
            assert answered.status == status, answered.text
            assert answered.code
            assert_readable_from_anywhere(answered.headers)


async def test_tokens_may_be_asked_for_from_any_origin(any_server: Server) -> None:
    async with http_client(any_server) as http:
        good = await http.post("/tokens", content="{}", headers=ORIGIN)
        bad = await http.post("/tokens", content='{"uid":"michael"}', headers=ORIGIN)
        wrong = await http.get("/tokens", headers=ORIGIN)
    assert [good.status_code, bad.status_code, wrong.status_code] == [200, 400, 405]
    for answered in (good, bad, wrong):
        assert_readable_from_anywhere(answered.headers)


async def test_the_tokens_of_the_demo_open_connections_that_chat(any_server: Server) -> None:
    async with http_client(any_server) as http:
        issued = answer(await http.post("/tokens", content="{}")).json
    channel = issued["channel"]
    async with (
        connect(any_server, jwt=issued["jim"]["token"]) as jim,
        connect(any_server, jwt=issued["pam"]["token"]) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        await jim.publish(channel, "hi")
        assert await jim.receive("chat") == await pam.receive("chat")
        await jim.publish(channel, event="is-typing")
        assert (await pam.receive("is-typing"))["meta"] == {"uid": "jim", "umd": None}
        await jim.nothing()

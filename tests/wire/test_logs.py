"""What a server in production writes into its log: a JSON object for each event (docs/logs.md)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chat.protocol.errors import CloseCode
from tests.support.backend import backend
from tests.support.client import eventually
from tests.support.connecting import Refused, connect, subscribed
from tests.support.servers import Server, production, start_server

PROCESS = {"time", "level", "logger", "event", "node", "pid"}


@pytest.fixture(scope="module")
def logging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("logs")
    with start_server("uvicorn", directory, **production()) as server:
        yield server


async def written(server: Server, event: str, **fields: Any) -> dict[str, Any]:
    """The line of an event with these fields, once it is there; its size is in it, too."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        for text in server.log.read_text().splitlines():
            if text.startswith("{"):
                line = json.loads(text)
                if line["event"] == event and fields.items() <= line.items():
                    found.append({**line, "size": len(text) + 1})
        return bool(found)

    await eventually(is_there)
    assert len({line["size"] for line in found}) == 1, found
    return found[0]


async def test_a_connection_is_followed_from_its_opening_to_its_end(
    logging_server: Server, channel: str
) -> None:
    async with subscribed(logging_server, channel, uid="jim") as jim:
        await jim.fill(channel, 3)
        opened = await written(logging_server, "Connection opened", connection=jim.id)
    closed = await written(logging_server, "Connection closed", connection=jim.id)
    assert opened.keys() == PROCESS | {"connection", "uid", "address", "size"}
    assert (opened["uid"], opened["address"]) == ("jim", "127.0.0.1")
    assert (opened["pid"], opened["level"]) == (logging_server.pid, "INFO")
    assert opened["node"] == closed["node"]
    assert (closed["code"], closed["why"]) == (1000, "the client left")
    assert 0 <= closed["seconds"] < 60
    assert (closed["frames_in"], closed["frames_out"]) == (4, 5)
    assert closed["bytes_in"] > closed["frames_in"] * 30
    assert closed["bytes_out"] > closed["frames_out"] * 30


async def test_why_the_server_closed_a_connection(logging_server: Server) -> None:
    async with connect(logging_server, uid="jim") as jim:
        await jim.send("x" * 200_000)
        assert (await jim.closed())[0] == CloseCode.TOO_LARGE
    closed = await written(logging_server, "Connection closed", connection=jim.id)
    assert (closed["code"], closed["why"]) == (1009, "a frame was too large")


async def test_why_a_connection_was_refused(logging_server: Server) -> None:
    """Once: those that follow within the minute are counted."""
    for _ in range(2):
        with pytest.raises(Refused):
            async with connect(logging_server, channels={"lobby": {"subscribe": "yes"}}):
                pass
    refused = await written(logging_server, "Connection refused")
    assert (refused["status"], refused["level"]) == (401, "WARNING")
    assert 'channels["lobby"].subscribe must be true or false, not "yes"' in refused["why"]


async def test_a_publication_over_http_has_its_channel_its_message_and_its_duration(
    logging_server: Server, channel: str
) -> None:
    """The message is the same in every process that delivers it."""
    async with subscribed(logging_server, channel) as pam, backend(logging_server) as app:
        headers = {**app.headers, "X-Request-ID": "r-1.2"}
        body = {"channel": channel, "event": "chat", "data": "hello", "store": 60}
        await app.call("POST", "/publish?secret=s", body, headers)
        id = (await pam.receive("chat"))["id"]
        line = await written(logging_server, "Request answered", channel=channel)
        await app.call("POST", "/publish", body, {"Authorization": "Bearer nobody"})
        refused = await written(logging_server, "Request answered", status=401)
        await pam.call("listMessages", {"channel": channel})
        read = await written(logging_server, "Request answered", connection=pam.id)
    assert (line["message"], line["request"]) == (id, "r-1.2")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/publish", 202)
    assert 0 < line["seconds"] < 60
    assert refused["level"] == "WARNING"
    assert (read["path"], read["channel"]) == ("/connection/listMessages", channel)


async def test_a_thousand_connections_an_hour_take_less_than_a_megabyte(
    logging_server: Server, channel: str
) -> None:
    """Each of which publishes once over HTTP."""
    async with backend(logging_server) as app, connect(logging_server, uid="jim") as jim:
        await app.published(channel, data="hello", store=60)
    lines = [
        await written(logging_server, "Connection opened", connection=jim.id),
        await written(logging_server, "Connection closed", connection=jim.id),
        await written(logging_server, "Request answered", channel=channel),
    ]
    assert 1000 * sum(line["size"] for line in lines) < 1_000_000

"""The Python client's calls of the server HTTP API, against the real server and a failing one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatsite_client import (
    AsyncClient,
    ChannelInfo,
    ChatError,
    Client,
    Entry,
    Receipt,
    Refused,
    Unreachable,
)
from chatsite_client.calls import Tries, channel_info, delete_message, publish
from tests.python_client.conftest import Ask, asking
from tests.support.connecting import connect, subscribed
from tests.support.grants import room
from tests.support.servers import Server, free_port

PAST = "01J00000000000000000000000"


async def test_messages(ask: Ask, server: Server, channel: str) -> None:
    async with subscribed(server, channel, channels=room(channel, historyStart=0)) as client:
        receipt = await ask("publish", channel, "chat", {"n": 1}, store=60, deduplication_id="a")
        assert (receipt.channel, receipt.event, receipt.schedule_arn) == (channel, "chat", None)
        message = await client.receive("chat")
        assert (message["id"], message["data"]) == (receipt.id, {"n": 1})
        again = await ask("publish", channel, "chat", {"n": 1}, store=60, deduplication_id="a")
        assert again == receipt
        await ask("react", channel, receipt.id, "👍", "robot", {"kind": "bot"})
        added = await client.receive("hotsock.messageReactionAdded")
        assert added["meta"] == {"uid": "robot", "umd": {"kind": "bot"}}
        await ask("react", channel, receipt.id, "👍", "robot", action="remove")
        await client.receive("hotsock.messageReactionRemoved")
        await ask("delete_message", channel, receipt.id)
        deleted = await client.receive("hotsock.messageDeleted")
        assert deleted["data"] == {"messageId": receipt.id}


async def test_schedules(ask: Ask, channel: str) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    receipt = await ask("publish", channel, "chat", at=at, store=-1)
    assert receipt == Receipt(channel, "chat", None, receipt.schedule_arn)
    assert await ask("cancel_schedule", receipt.schedule_arn) is True
    assert await ask("cancel_schedule", receipt.schedule_arn) is False
    at = "at(2030-07-01T09:00:00)"
    zoned = await ask("publish", channel, "chat", at=at, timezone="Asia/Tokyo")
    assert await ask("cancel_schedule", zoned.schedule_arn) is True


async def test_storage(ask: Ask, channel: str) -> None:
    for key, data in [("b", {"x": "ü"}), ("a", 1)]:
        await ask("set_storage", channel, key, data)
    assert await ask("list_storage", channel) == [Entry("a", 1, None), Entry("b", {"x": "ü"}, None)]
    assert await ask("list_storage", channel, after="a") == [Entry("b", {"x": "ü"}, None)]
    assert await ask("list_storage", channel, keys=["a", "c"]) == [Entry("a", 1, None)]
    await ask("set_storage", channel, "a", None)
    assert [entry.key for entry in await ask("list_storage", channel)] == ["b"]


@pytest.mark.parametrize("ending", ["/storage", "/../x", "?y=%2F", "ü", "/messages/a"])
async def test_a_name_stays_one_segment_of_the_path(ask: Ask, channel: str, ending: str) -> None:
    assert await ask("channel_info", channel + ending) == ChannelInfo(channel + ending, 0, None)


@pytest.mark.parametrize("name", [".", ".."])
async def test_dots_are_a_name(ask: Ask, name: str) -> None:
    assert (await ask("channel_info", name)).name == name


async def test_members(ask: Ask, server: Server, channel: str) -> None:
    channel = f"presence.{channel}"
    async with connect(server, uid="ada", umd=7, channels=room(channel)) as client:
        await client.subscribe(channel)
        members = [{"uid": "ada", "umd": 7}]
        assert await ask("channel_info", channel) == ChannelInfo(channel, 1, members)


@pytest.mark.parametrize(
    ("name", "arguments", "status", "code"),
    [
        ("publish", ["c", "hotsock.x"], 400, "UNKNOWN_EVENT"),
        ("publish", ["c", "chat", "x" * 40_000], 413, "DATA_TOO_LARGE"),
        ("delete_message", ["c", PAST], 404, "MESSAGE_NOT_FOUND"),
        ("react", ["c", PAST, "👍", "ada"], 404, "MESSAGE_NOT_FOUND"),
    ],
)
async def test_refusals(ask: Ask, name: str, arguments: list[Any], status: int, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await ask(name, *arguments)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (status, code, None)
    assert error.message.endswith(".")


async def test_a_wrong_key(face: type[Client], server: Server, channel: str) -> None:
    with pytest.raises(Refused) as caught:
        await asking(face(server.url, "wrong"))("channel_info", channel)
    assert (caught.value.status, caught.value.code) == (401, "INVALID_API_KEY")
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("data", [float("nan"), "\ud800", object()])
async def test_what_is_no_json_is_not_sent(ask: Ask, channel: str, data: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        await ask("publish", channel, "chat", data)


# --- trying again -------------------------------------------------------------------------------

READING, WRITING = channel_info("c"), publish("c", "chat", 1)
ONCE, DELETING = publish("c", "chat", 1, deduplication_id="a"), delete_message("c", PAST)


def refused(status: int) -> Refused:
    return Refused("CODE", "No.", status)


@pytest.mark.parametrize(
    ("error", "repeated"),
    [
        (Unreachable("no connection", sent=False), [READING, WRITING, ONCE, DELETING]),
        (Unreachable("no answer", sent=True), [READING, ONCE]),
        (refused(429), [READING, WRITING, ONCE, DELETING]),
        (refused(408), [READING, WRITING, ONCE, DELETING]),
        (refused(503), [READING, ONCE]),  # a commit whose outcome is not known is one
        (refused(502), [READING, ONCE]),
        (refused(400), []),
        (refused(401), []),
    ],
)
def test_what_is_repeated(error: ChatError, repeated: list[Any]) -> None:
    for call in (READING, WRITING, ONCE, DELETING):
        tries = Tries(call)
        if call not in repeated:
            with pytest.raises(type(error)):
                tries.wait(error)
            continue
        for _ in range(3):
            tries.wait(error)
        with pytest.raises(type(error)):
            tries.wait(error)


def test_the_server_says_how_long_to_wait() -> None:
    assert Tries(READING).wait(Refused("RATE_LIMITED", "No.", 429, retry_after=7.0)) == 7.0
    assert Tries(READING).wait(Refused("RATE_LIMITED", "No.", 429, retry_after=7000.0)) == 60.0


class Failing:
    """An HTTP server that gives these answers, one a connection; None: it hangs up."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"content-length" in head.lower():
            await reader.readuntil(b"}")
        if (said := self.answers.pop(0)) is not None:
            writer.write(said)
            await writer.drain()
        writer.close()


@pytest.fixture
async def failing() -> AsyncIterator[tuple[Failing, str]]:
    server = Failing()
    port = free_port()
    async with await asyncio.start_server(server.answer, "127.0.0.1", port):
        yield server, f"http://127.0.0.1:{port}"


def http(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


async def test_it_tries_again(face: type[AsyncClient], failing: tuple[Failing, str]) -> None:
    server, url = failing
    busy = http("503 Busy", b"<html>", "retry-after: 0\r\n")
    done = http("202 Accepted", b'{"channel":"c","event":"chat","id":"1"}')
    server.answers = [None, busy, done]
    receipt = await asking(face(url, "key"))("publish", "c", "chat", 1, deduplication_id="a")
    assert receipt == Receipt("c", "chat", "1")
    server.answers = [None, done]
    with pytest.raises(Unreachable) as caught:
        await asking(face(url, "key"))("publish", "c", "chat", 1)
    assert caught.value.sent
    assert server.answers == [done]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"channel":"c"}', b'"\xff"'])
async def test_an_answer_that_is_none(
    face: type[AsyncClient], failing: tuple[Failing, str], body: bytes
) -> None:
    server, url = failing
    server.answers = [http("202 Accepted", body)]
    with pytest.raises(Refused, match="HTTP_202"):
        await asking(face(url, "key"))("publish", "c", "chat", 1)


async def test_nobody_listens(face: type[AsyncClient], channel: str) -> None:
    with pytest.raises(Unreachable) as caught:
        await asking(face(f"http://127.0.0.1:{free_port()}", "key"))("channel_info", channel)
    assert not caught.value.sent

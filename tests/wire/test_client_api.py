"""The client HTTP API: whose it is, `publishMessage`, refusals (protocol.md section 14)."""

import asyncio
from typing import Any

import pytest

from tests.support.calls import answer, compact, http_client
from tests.support.client import eventually
from tests.support.connecting import connect, subscribed
from tests.support.grants import PASSING, STORED, room
from tests.support.servers import Server

OPERATIONS = ["listMessages", "listReactions", "publishMessage"]


# --- whose calls they are -----------------------------------------------------------------------


@pytest.mark.parametrize("called", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_it_needs_the_credentials_of_an_open_connection(
    every_server: Server, channel: str, operation: str, called: bool
) -> None:
    body = compact({"channel": channel, "event": "chat", "messageId": "0" * 26})
    async with (
        subscribed(every_server, channel) as client,
        connect(every_server) as other,
        http_client(every_server) as http,
    ):
        if called:
            assert (await client.call("listMessages", {"channel": channel})).status == 200
        for credentials in (
            {},
            {"connectionId": client.id},
            {"connectionSecret": client.secret},
            {"connectionId": client.id, "connectionSecret": ""},
            {"connectionId": client.id, "connectionSecret": client.secret[:-1]},
            {"connectionId": client.id, "connectionSecret": client.secret.swapcase()},
            {"connectionId": client.id, "connectionSecret": other.secret},
            {"connectionId": other.id, "connectionSecret": client.secret},
            {"connectionId": f"{client.id}x", "connectionSecret": client.secret},
            {"connectionId": "\x00", "connectionSecret": "\ud83d".encode("utf-8", "surrogatepass")},
            {"connectionId": "x" * 5000, "connectionSecret": "é" * 1000},
        ):
            url = f"/connection/{operation}"
            refused = answer(await http.post(url, params=credentials, content=body))
            assert refused.refusal == (401, "INVALID_CONNECTION"), credentials
        await client.nothing()


async def test_permissions_are_the_subscriptions_where_there_is_one(
    every_server: Server, channel: str
) -> None:
    """As soon as `hotsock.subscribed` says so, and no longer than `hotsock.unsubscribed`."""
    body = {"channel": channel, "event": "chat"}
    async with connect(every_server, channels=room(channel)) as client:
        for _ in range(3):
            refused = await client.call("publishMessage", body)
            assert refused.refusal == (403, "NOT_SUBSCRIBED")
            await client.subscribe(channel)
            assert (await client.call("publishMessage", body)).status == 202
            await client.receive("chat")
            await client.unsubscribe(channel)


# --- publishMessage -----------------------------------------------------------------------------


@pytest.mark.parametrize("directives", [STORED, {**PASSING, "echo": True}], ids=["stored", "not"])
@pytest.mark.parametrize("eager", [True, False, None])
async def test_a_published_message(
    every_server: Server, channel: str, directives: dict[str, Any], eager: bool | None
) -> None:
    """Its answer names the channel and the event and, where asked for, its id; it is stored by
    then and reaches every subscriber."""
    channels = room(channel, {"chat": directives})
    body = {"channel": channel, "event": "chat", "data": {"a": 1}, "eagerIdGeneration": eager}
    async with (
        subscribed(every_server, channel, uid="jim", umd=2, channels=channels) as jim,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        answered = await jim.call("publishMessage", body)
        stored = await jim.history(channel)
        frame = await pam.receive("chat")
        assert answered.status == 202
        assert answered.headers["content-type"].startswith("application/json")
        named = {"id": frame["id"]} if eager else {}
        assert answered.json == {"channel": channel, "event": "chat", **named}
        assert frame["data"] == {"a": 1}
        assert frame["meta"] == {"uid": "jim", "umd": 2}
        assert stored == ([frame] if directives is STORED else [])
        assert await jim.receive("chat") == frame


@pytest.mark.parametrize("echo", [True, False])
async def test_the_echo_rule_is_about_the_connection_whose_credentials_were_used(
    any_server: Server, channel: str, echo: bool
) -> None:
    messages = {"chat": {"publish": True, "echo": echo}}
    async with (
        subscribed(any_server, channel, messages, uid="jim") as jim,
        subscribed(any_server, channel, messages, uid="jim") as same,
    ):
        await jim.call("publishMessage", {"channel": channel, "event": "chat"})
        if echo:
            await jim.receive("chat")
        await jim.nothing()
        await same.receive("chat")
        await same.nothing()


async def test_data_is_null_when_none_is_given(any_server: Server, channel: str) -> None:
    async with subscribed(any_server, channel) as client:
        await client.call("publishMessage", {"channel": channel, "event": "chat"})
        frame = await client.receive("chat")
        assert frame["data"] is None
        assert await client.history(channel) == [frame]


async def test_many_calls_at_once(every_server: Server, channel: str) -> None:
    """Forty over HTTP beside as many over the socket: each once, in one order."""
    async with (
        subscribed(every_server, channel) as client,
        subscribed(every_server, channel) as reader,
    ):
        calls = (client.store(channel, number) for number in range(40))
        frames = (client.publish(channel, number) for number in range(40, 80))
        outcomes = await asyncio.gather(*calls, *frames)
        await client.settle()
        frames_seen = await reader.drain()
        assert sorted(frame["data"] for frame in frames_seen) == list(range(80))
        ids = [frame["id"] for frame in frames_seen]
        assert ids == sorted(ids)
        assert {id for id in outcomes if id} <= set(ids)
        assert await reader.history(channel) == frames_seen


# --- refusals -----------------------------------------------------------------------------------

MALFORMED: dict[str, tuple[Any, str]] = {
    "not UTF-8": (b'{"channel":"\xff"}', "INVALID_REQUEST"),
    "no channel": ({"event": "chat", "channel": None}, "INVALID_CHANNEL_NAME"),
    "subscribing": ({"event": "hotsock.subscribe"}, "UNKNOWN_EVENT"),
    "unsubscribing": ({"event": "hotsock.unsubscribe"}, "UNKNOWN_EVENT"),
    "a ping": ({"event": "hotsock.ping"}, "UNKNOWN_EVENT"),
    "an event of the server's": ({"event": "hotsock.subscribed"}, "UNKNOWN_EVENT"),
}


@pytest.mark.parametrize(("body", "code"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_body_is_refused(
    any_server: Server, channel: str, body: Any, code: str
) -> None:
    async with subscribed(any_server, channel, {"*": STORED}) as client:
        sent = {"channel": channel, **body} if isinstance(body, dict) else body
        refused = await client.call("publishMessage", sent)
        assert refused.refusal == (400, code)
        assert refused.headers["content-type"].startswith("application/json")
        await client.nothing()
        assert await client.history(channel) == []


async def test_a_refused_call_says_why_in_a_sentence(any_server: Server, channel: str) -> None:
    async with connect(any_server, channels=room(channel)) as client:
        refused = await client.call("publishMessage", {"channel": channel, "event": "chat"})
        message = refused.json["error"]["message"]
        assert message[0].isupper()
        assert message.endswith(".")


async def test_credentials_end_with_the_connection(every_server: Server, channel: str) -> None:
    async with connect(every_server, channels=room(channel)) as client:
        await client.subscribe(channel)
        assert (await client.call("listMessages", {"channel": channel})).status == 200
        await client.socket.close()

        async def ended() -> bool:
            return (await client.call("listMessages", {"channel": channel})).status == 401

        await eventually(ended)
        for operation in OPERATIONS:
            refused = await client.call(operation, {"channel": channel, "event": "chat"})
            assert refused.refusal == (401, "INVALID_CONNECTION")


async def test_the_credentials_of_one_connection_are_no_others(
    any_server: Server, channel: str
) -> None:
    async with (
        connect(any_server, channels=room(channel)) as one,
        connect(any_server, channels=room(channel)) as two,
    ):
        await one.subscribe(channel)
        await two.subscribe(channel)
        body = {"channel": channel}
        for id, secret in ((one.id, two.secret), ("unknown", one.secret), (one.id, "\u00e9\0")):
            answered = await one.call("listMessages", body, id=id, secret=secret)
            assert answered.refusal == (401, "INVALID_CONNECTION")
        assert (await one.call("listMessages", body)).status == 200

"""What the application's backend is told of channel storage and of what the server itself
publishes (protocol.md section 16)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.backend import backend
from tests.support.client import Client
from tests.support.connecting import connect
from tests.support.grants import room
from tests.support.servers import manage
from tests.support.stored import expire_entries
from tests.support.webhook_receiver import Delivery
from tests.wire.test_backend_events import CHAT, Reporting, metadata, reporting

__all__ = ["reporting"]

ENTRY = {"set": True, "observe": True, "emitPubSubEvent": True}
KEYS = {"kept": ENTRY, "brief": {**ENTRY, "store": 3600}, "quiet": {"set": True, "observe": True}}


async def put(client: Client, channel: str, key: str, data: Any) -> None:
    await client.send(
        {"event": "hotsock.channelStorageSet", "channel": channel, "key": key, "data": data}
    )


async def updates(reporting: Reporting, channel: str, count: int) -> list[Delivery]:
    return await reporting.receiver.several(count, "channelStorageUpdated", channel)


async def test_an_entry_is_set_changed_and_cleared(reporting: Reporting, channel: str) -> None:
    claims = {"uid": "jim", "umd": 1, "channels": room(channel, CHAT, storage=KEYS)}
    async with connect(reporting.server, **claims) as jim:
        await put(jim, channel, "quiet", 0)
        await put(jim, channel, "kept", {"a": 1, "b": 2})
        await put(jim, channel, "kept", {"b": 2, "a": 1})  # the same value
        await put(jim, channel, "kept", 2)
        await put(jim, channel, "kept", None)
        first, second, third = await updates(reporting, channel, 3)
    asked = first.body["metadata"]
    assert asked.pop("userAgent")
    assert first.body == {
        "source": "hotsock.v1",
        "type": "hotsock.channelStorageUpdated",
        "metadata": metadata(
            channel,
            key="kept",
            connectionId=jim.id,
            sourceIp="127.0.0.1",
            trigger="client.websocket",
        ),
        "data": {
            "channel": channel,
            "key": "kept",
            "data": {"a": 1, "b": 2},
            "dataPrevious": None,
            "expired": False,
            "expiresAt": None,
            "meta": {"uid": "jim", "umd": 1},
        },
        "dataType": "channelStorage",
    }
    assert (second.body["data"]["data"], second.body["data"]["dataPrevious"]) == (
        2,
        {"b": 2, "a": 1},
    )
    data = third.body["data"]
    assert (data["data"], data["dataPrevious"], data["meta"]) == (None, 2, None)


async def test_an_entry_expires(reporting: Reporting, channel: str) -> None:
    """Once, and only where its last write wanted to be reported."""
    claims = {"uid": "jim", "channels": room(channel, CHAT, storage=KEYS)}
    async with connect(reporting.server, **claims) as jim:
        await put(jim, channel, "brief", "x")
        await put(jim, channel, "quiet", "y")
        [written] = await updates(reporting, channel, 1)
        assert written.body["data"]["expiresAt"].endswith("Z")
        expire_entries(reporting.server, channel)
        _, expired = await updates(reporting, channel, 2)
        await put(jim, channel, "kept", 1)
        *_, last = await updates(reporting, channel, 3)
    assert last.body["data"]["key"] == "kept"
    assert expired.body["metadata"] == metadata(
        channel, key="brief", connectionId="", sourceIp="", trigger="", userAgent=""
    )
    assert expired.body["data"] == {
        "channel": channel,
        "key": "brief",
        "data": None,
        "dataPrevious": "x",
        "expired": True,
        "expiresAt": "2020-01-01T00:00:00Z",
        "meta": None,
    }


async def test_one_written_anew_before_its_expiry_was_reported(
    reporting: Reporting, channel: str
) -> None:
    """Both are told, in their order."""
    claims = {"uid": "jim", "channels": room(channel, CHAT, storage=KEYS)}
    async with connect(reporting.server, **claims) as jim:
        await put(jim, channel, "brief", "x")
        await updates(reporting, channel, 1)
        expire_entries(reporting.server, channel)
        await put(jim, channel, "brief", "z")
        _, expired, written = await updates(reporting, channel, 3)
    assert (expired.body["data"]["dataPrevious"], expired.body["data"]["expired"]) == ("x", True)
    assert (written.body["data"]["data"], written.body["data"]["dataPrevious"]) == ("z", None)


# --- what the server publishes ------------------------------------------------------------------


async def test_what_the_server_publishes_says_so(reporting: Reporting, channel: str) -> None:
    async with backend(reporting.server) as server:
        quiet = await server.published(channel, store=-1)
        kept = await server.published(
            *(channel, "notice"), data=1, store=-1, emitPubSubEvent=True, eagerIdGeneration=True
        )
        passing = await server.published(
            *(channel, "notice"), data=2, emitPubSubEvent=True, eagerIdGeneration=True
        )
        first, second = await reporting.receiver.on(channel, 2)
    assert "id" not in quiet
    asked = first.body["metadata"]
    assert asked.pop("requestId") != second.body["metadata"]["requestId"]
    assert asked.pop("userAgent")
    assert asked == metadata(
        channel, event="notice", connectionId="", sourceIp="127.0.0.1", trigger="server.http"
    )
    told = {"channel": channel, "event": "notice"}
    assert first.body["data"] == {**told, "id": kept["id"], "data": 1}
    assert second.body["data"] == {**told, "id": passing["id"], "data": 2}


async def test_what_the_server_sets_and_reacts(reporting: Reporting, channel: str) -> None:
    set_entry = "hotsock.channelStorageSet"
    async with backend(reporting.server) as server:
        await server.published(channel, set_entry, key="k", data=0)
        await server.published(channel, set_entry, key="k", data=1, emitPubSubEvent=True, store=9)
        message = await server.published(channel, store=-1, eagerIdGeneration=True)
        reaction = {"messageId": message["id"], "reaction": "👍", "action": "add", "uid": "pam"}
        await server.published(
            channel, "hotsock.messageReaction", data=reaction, emitPubSubEvent=True
        )
        written, reacted = await reporting.receiver.on(channel, 2)
    data = written.body["data"]
    assert (data["data"], data["dataPrevious"], data["meta"]) == (1, 0, None)
    assert written.body["metadata"]["trigger"] == "server.http"
    assert "requestId" not in written.body["metadata"]
    assert (reacted.type, reacted.body["data"]["uid"]) == ("messageReactionAdded", "pam")
    assert reacted.body["metadata"]["trigger"] == "server.http"


async def test_what_is_done_at_its_time(reporting: Reporting, channel: str) -> None:
    async with backend(reporting.server) as server:
        at = datetime.now(UTC) + timedelta(seconds=2)
        later = {"scheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})", "emitPubSubEvent": True}
        await server.published(channel, data="kept", store=-1, **later)
        await server.published(channel, data="passing", **later)
        await server.published(channel, "hotsock.channelStorageSet", key="k", data=1, **later)
        found = await reporting.receiver.on(channel, 3)
    assert {delivery.body["metadata"]["trigger"] for delivery in found} == {"server.http"}
    assert {str(delivery.body["data"]["data"]) for delivery in found} == {"kept", "passing", "1"}


async def test_python_in_another_process(reporting: Reporting, channel: str) -> None:
    """The server's process finds what it left for the webhook."""
    code = (
        "from chat import api;"
        f"api.publish({channel!r}, 'notice', 'hi', store=60, emit_pub_sub_event=True)"
    )
    outcome = await asyncio.to_thread(manage, reporting.server.env, "shell", "-c", code)
    assert outcome.returncode == 0, outcome.stderr
    [delivery] = await reporting.receiver.on(channel, 1)
    asked = delivery.body["metadata"]
    assert (asked["trigger"], asked["sourceIp"], asked["userAgent"]) == ("server.python", "", "")
    assert delivery.body["data"]["data"] == "hi"

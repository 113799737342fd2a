"""Publishing over the WebSocket (protocol.md section 8)."""

from typing import Any

import pytest

from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import Server
from tests.support.stored import rows

KINDS = {
    "stored": {"publish": True, "store": -1},
    "not stored": {"publish": True},
}


kinds = pytest.mark.parametrize("directives", KINDS.values(), ids=KINDS)


@kinds
async def test_a_message_on_the_wire(
    every_server: Server, channel: str, directives: dict[str, Any]
) -> None:
    channels = room(channel, {"chat": directives})
    async with (
        subscribed(every_server, channel, uid="jim", umd={"a": 1}, channels=channels) as jim,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        await jim.publish(channel, {"text": "hi"})
        frame = await pam.receive()
        id = frame.pop("id")
        assert len(id) == 26
        assert frame == {
            "event": "chat",
            "channel": channel,
            "data": {"text": "hi"},
            "meta": {"uid": "jim", "umd": {"a": 1}},
            **({"position": 1} if directives.get("store") else {}),
        }
        await jim.nothing()


@kinds
@pytest.mark.parametrize("data", ["", ',"data":null'])
async def test_data_is_always_there(
    any_server: Server, channel: str, directives: dict[str, Any], data: str
) -> None:
    channels = room(channel, {"chat": {**directives, "echo": True}}, historyStart=0)
    async with subscribed(any_server, channel, channels=channels) as client:
        await client.send(f'{{"event":"chat","channel":"{channel}"{data}}}')
        frame = await client.receive("chat")
        placed = {"position"} if directives.get("store") else set()
        assert frame.keys() == {"id", "event", "channel", "data", "meta"} | placed
        assert frame["data"] is None
        assert frame["meta"] == {"uid": None, "umd": None}
        stored = [frame] if directives.get("store") else []
        assert await client.history(channel) == stored


# --- who gets it ----------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("echo", [True, False, None])
async def test_the_senders_own_connection_gets_a_copy_only_with_echo(
    any_server: Server, channel: str, directives: dict[str, Any], echo: bool | None
) -> None:
    """Other connections of the same uid always do."""
    stated = directives if echo is None else {**directives, "echo": echo}
    channels = room(channel, {"chat": stated})
    async with (
        subscribed(any_server, channel, uid="jim", channels=channels) as jim,
        subscribed(any_server, channel, uid="jim", channels=channels) as same,
        subscribed(any_server, channel, uid="pam", channels=channels) as pam,
    ):
        await jim.publish(channel, "hi")
        if echo:
            await jim.receive("chat")
        await jim.nothing()
        for client in (same, pam):
            assert (await client.receive("chat"))["data"] == "hi"
            await client.nothing()


@kinds
async def test_nobody_outside_the_channel_gets_it(
    any_server: Server, channel: str, directives: dict[str, Any]
) -> None:
    channels = room(channel, {"chat": directives}) | room(f"{channel}-other")
    async with (
        subscribed(any_server, channel, channels=channels) as jim,
        subscribed(any_server, f"{channel}-other", channels=channels) as pam,
    ):
        await jim.publish(channel)
        await pam.nothing(jim)


async def test_a_refused_message_reaches_nobody(any_server: Server, channel: str) -> None:
    messages = {"chat": {"publish": False, "echo": True, "store": -1, "broadcast": True}}
    async with (
        subscribed(any_server, channel, messages) as jim,
        subscribed(any_server, channel, channels=room(channel, historyStart=0)) as pam,
    ):
        await jim.publish(channel)
        await jim.error("PUBLISH_PERMISSION_DENIED", "chat", channel)
        await jim.nothing()
        await pam.nothing()
        assert await pam.history(channel) == []


# --- history --------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [{}, {"store": 0}])
async def test_what_is_not_stored_is_not_in_history(
    every_server: Server, channel: str, store: dict[str, int]
) -> None:
    messages = {"chat": {"publish": True, "store": -1}, "typing": {"publish": True, **store}}
    async with (
        subscribed(every_server, channel, channels=room(channel, messages, historyStart=0)) as jim,
        subscribed(every_server, channel) as pam,
    ):
        for event in ("typing", "chat", "typing"):
            await jim.publish(channel, event=event)
        for event in ("typing", "chat", "typing"):
            await pam.receive(event)
        assert [message["event"] for message in await jim.history(channel)] == ["chat"]
        sql = "SELECT event FROM chat_message WHERE channel_id ="
        sql += " (SELECT id FROM chat_channel WHERE name = ?)"
        assert rows(every_server, sql, channel) == [("chat",)]

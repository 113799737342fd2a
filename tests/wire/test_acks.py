"""Acknowledgement and idempotency (protocol.md section 19)."""

import asyncio
import secrets
from typing import Any

import pytest

from tests.support.client import Client, Frame, eventually
from tests.support.connecting import connect, subscribed
from tests.support.grants import PASSING, STORED, room
from tests.support.servers import Server, token

LATER = "at(2999-01-01T00:00:00)"
FAR = 40_000_000_000  # unix seconds, after LATER
EVERYTHING: dict[str, Any] = {"get": True, "set": True, "observe": True, "scheduleBefore": FAR}
MESSAGES = {
    "chat": {**STORED, "scheduleBefore": FAR},
    "silent": {"publish": True, "store": 60, "scheduleBefore": FAR},
    "typing": {**PASSING, "echo": True},
    "reported": {**PASSING, "echo": True, "emitPubSubEvent": True},
    "hotsock.messageReaction": {"echo": True},
}
NAMES = ("hotsock.messageReaction", "hotsock.channelStorageSet")


def rights(channel: str, **messages: Any) -> dict[str, Any]:
    granted = {**MESSAGES, **messages}
    return room(channel, granted, historyStart=0, storage={"*": EVERYTHING})


def new() -> str:
    return secrets.token_urlsafe(16)


def frame(channel: str, event: str = "chat", data: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"event": event, "channel": channel, "data": data, "ack": new(), **fields}


def entry(channel: str, data: Any = 1, **fields: Any) -> dict[str, Any]:
    return frame(channel, "hotsock.channelStorageSet", data, key="k", **fields)


def reaction(channel: str, message: str, action: str = "add", **fields: Any) -> dict[str, Any]:
    data = {"messageId": message, "reaction": "👍", "action": action}
    return frame(channel, "hotsock.messageReaction", data, **fields)


async def acked(client: Client, sent: dict[str, Any]) -> dict[str, Any]:
    """What the acknowledgement says, which is the next frame."""
    received = await client.receive("hotsock.ack")
    assert received["channel"] == sent["channel"]
    assert received["data"].pop("ack") == sent["ack"]
    data: dict[str, Any] = received["data"]
    return data


async def done(client: Client, sent: dict[str, Any]) -> tuple[Frame, dict[str, Any]]:
    """The echo, which is the next frame, and what is said behind it."""
    await client.send(sent)
    echo = await client.receive()
    return echo, await acked(client, sent)


async def refused(client: Client, sent: dict[str, Any], code: str) -> None:
    await client.send(sent)
    error = (await client.receive("hotsock.error"))["error"]
    assert (error["code"], error["ack"]) == (code, sent["ack"])


# --- when it is done ------------------------------------------------------------------------------


async def test_each_operation_is_acknowledged_behind_its_echo(
    every_server: Server, channel: str
) -> None:
    """With the id of a message, the position of a change, the name of a schedule."""
    async with subscribed(every_server, channel, channels=rights(channel), uid="jim") as jim:
        chat, said = await done(jim, frame(channel))
        assert said == {"id": chat["id"], "position": 1}
        for event in ("typing", "reported"):
            echo, said = await done(jim, frame(channel, event))
            assert said == {"id": echo["id"]}
        for number, sent in enumerate(
            [reaction(channel, chat["id"]), entry(channel), reaction(channel, chat["id"], "remove")]
        ):
            _, said = await done(jim, sent)
            assert said == {"position": number + 2}
        await jim.send(silent := frame(channel, "silent"))
        said = await acked(jim, silent)
        assert said.keys() == {"id", "position"}
        assert (await jim.history(channel))[-1]["id"] == said["id"]
        for sent in (frame(channel, scheduleExpression=LATER), entry(channel, 2)):
            sent["scheduleExpression"] = LATER
            await jim.send(sent)
            assert (await acked(jim, sent)).keys() == {"scheduleArn"}


async def test_what_changes_nothing_is_acknowledged_without_a_position(
    server: Server, channel: str
) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        chat, _ = await done(jim, frame(channel))
        for make in (lambda: reaction(channel, chat["id"]), lambda: entry(channel)):
            await done(jim, make())
            await jim.send(again := make())
            assert await acked(jim, again) == {}


async def test_the_acks_of_a_read_come_in_order_each_behind_its_own_echo(
    any_server: Server, channel: str
) -> None:
    """Stored ones, which do not wait for each other, and others between them."""
    events = [*["chat"] * 20, *["typing"] * 5, "chat", "typing", *["chat"] * 3]
    sent = [frame(channel, event, at) for at, event in enumerate(events)]
    sent[3]["ack"] = sent[21]["ack"] = None  # asks for none
    async with subscribed(any_server, channel, channels=rights(channel)) as jim:
        await jim.send(*sent)
        await jim.settle()
        frames = await jim.drain()
        seen = [each["data"] for each in frames if each["event"] != "hotsock.ack"]
        assert seen == list(range(len(sent)))
        told = [each["data"]["ack"] for each in frames if each["event"] == "hotsock.ack"]
        assert told == [each["ack"] for each in sent if each["ack"]]
        ids = [each.get("id") for each in frames]
        for at, each in enumerate(frames):
            if each["event"] == "hotsock.ack":
                assert each["data"]["id"] in ids[:at]


async def test_an_alias_is_answered_with_the_real_name(server: Server, channel: str) -> None:
    channels = {channel: {**rights(channel)[channel], "alias": "room"}}
    async with subscribed(server, channel, channels=channels, uid="jim") as jim:
        await jim.send(sent := frame("room", "silent"))
        received = await jim.receive("hotsock.ack")
        assert received["channel"] == channel
        again = await jim.call("publishMessage", {**sent, "channel": channel})
        assert again.json["repeated"] is True


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refusal_names_the_ack(server: Server, channel: str) -> None:
    """Wherever it is found: in the fields, the names, the rights, the database."""
    missing = "01HF7YAT00ABCDEFGHJKMNPQRS"
    cases = {
        "INVALID_MESSAGE": frame(channel, key=5),
        "INVALID_EVENT_NAME": frame(channel, "a*"),
        "PUBLISH_PERMISSION_DENIED": frame(channel, "unknown"),
        "MESSAGE_NOT_FOUND": reaction(channel, missing),
        "INVALID_SCHEDULE_EXPRESSION": frame(channel, scheduleExpression="at(2000-01-01T00:00:00)"),
        "DATA_TOO_LARGE": frame(channel, data="x" * 33 * 1024),
        "STORAGE_PERMISSION_DENIED": {**entry(f"{channel}-2")},
    }
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        for code, sent in cases.items():
            await refused(jim, sent, code)
            operation = "channelStorageSet" if "key" in sent and code[0] == "S" else "publishMessage"
            over_http = await jim.call(operation, sent)
            assert over_http.json["error"]["code"] == code
            assert over_http.json["error"]["ack"] == sent["ack"]


@pytest.mark.parametrize("ack", ["a" * 15, "a" * 65, "a" * 15 + "+", "a" * 15 + "é", "a" * 16 + "\n", 5])
async def test_an_ack_of_another_form_is_refused_and_nothing_is_done(
    server: Server, channel: str, ack: Any
) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        for sent in (frame(channel, ack=ack), entry(channel, ack=ack)):
            await jim.send(sent)
            error = (await jim.receive("hotsock.error"))["error"]
            assert error["code"] == "INVALID_MESSAGE"
            assert "ack" in error["message"]
            assert "ack" not in error
        for operation, body in (("publishMessage", frame(channel)), ("channelStorageSet", entry(channel))):
            answer = await jim.call(operation, {**body, "ack": ack})
            assert answer.refusal == (400, "INVALID_MESSAGE")
            assert "ack" not in answer.json["error"]
        await jim.nothing()
        assert await jim.history(channel) == []


async def test_null_asks_for_none_and_the_server_api_knows_none(
    server: Server, channel: str
) -> None:
    async with subscribed(server, channel, channels=rights(channel)) as jim:
        await jim.send(frame(channel, "silent", ack=None))
        await jim.nothing()
        answer = await jim.call("publishMessage", frame(channel, "silent", ack=None))
        assert answer.json == {"channel": channel, "event": "silent"}

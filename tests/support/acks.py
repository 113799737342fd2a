"""Frames that ask to be acknowledged, and what is said of them (protocol.md section 19)."""

from __future__ import annotations

import secrets
from typing import Any

from tests.support.client import Client, Frame
from tests.support.grants import PASSING, STORED, room

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


def rights(channel: str) -> dict[str, Any]:
    """`chat` comes back, `silent` does not; both are stored. `typing` and `reported` are not."""
    return room(channel, MESSAGES, historyStart=0, storage={"*": EVERYTHING})


def new() -> str:
    return secrets.token_urlsafe(16)


def frame(channel: str, event: str = "chat", data: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"event": event, "channel": channel, "data": data, "ack": new(), **fields}


def entry(channel: str, data: Any = 1, **fields: Any) -> dict[str, Any]:
    return frame(channel, "hotsock.channelStorageSet", data, key="k", **fields)


def reaction(channel: str, message: str, action: str = "add", **fields: Any) -> dict[str, Any]:
    data = {"messageId": message, "reaction": "👍", "action": action}
    return frame(channel, "hotsock.messageReaction", data, **fields)


def operation_of(sent: dict[str, Any]) -> str:
    storage = sent["event"] == "hotsock.channelStorageSet"
    return "channelStorageSet" if storage else "publishMessage"


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

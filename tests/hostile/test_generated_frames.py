"""Every field of every frame with every bad value: each gets its code, leaves no row behind, and
the connection chats on (protocol.md section 17)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hostile.bad_values import FAR, KINDS, LATER, REACTION, C, Path, for_channel, variants
from tests.hostile.unchanged import all_rows
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.conversation import BEYOND, MALFORMED
from tests.support.described import description, lookup, messages, properties
from tests.support.grants import PASSING, STORED
from tests.support.servers import Server, token


@dataclass(frozen=True)
class Frame:
    """A good frame, the kind of each of its fields, and the code that a channel or an event that
    is not the client's business is refused with."""

    good: dict[str, Any]
    fields: dict[Path, str]
    elsewhere: str | None = None

    @property
    def all_fields(self) -> dict[Path, str]:
        return {**UNUSED, **self.fields}


# Fields that a frame has no use for must have the right type all the same.
UNUSED: dict[Path, str] = {
    ("channel",): "unused",
    ("data",): "unused data",
    ("key",): "unused",
    ("scheduleExpression",): "unused",
    ("scheduleExpressionTimezone",): "unused",
    ("ack",): "ack",
}
FRAMES: dict[str, Frame] = {
    "hotsock.ping": Frame({}, {}),
    "hotsock.pong": Frame({}, {}),
    "hotsock.heartbeat": Frame({}, {}),
    "hotsock.subscribe": Frame(
        {"channel": f"{C}-2", "data": {"token": None, "since": 0, "epoch": "e"}},
        {
            ("channel",): "channel",
            ("data",): "token data",
            ("data", "token"): "subscribe token",
            ("data", "occupancy"): "flag",
            ("data", "since"): "position",
            ("data", "epoch"): "epoch",
        },
        "SUBSCRIBE_PERMISSION_DENIED",
    ),
    "hotsock.unsubscribe": Frame(
        {"channel": f"{C}-2"}, {("channel",): "channel"}, "NOT_SUBSCRIBED"
    ),
    "hotsock.messageReaction": Frame(
        {"channel": C, "data": REACTION},
        {
            ("channel",): "channel",
            ("data",): "reaction data",
            ("data", "messageId"): "message",
            ("data", "reaction"): "reaction",
            ("data", "action"): "action",
            ("scheduleExpression",): "schedule",
        },
        "NOT_SUBSCRIBED",
    ),
    "hotsock.umdUpdate": Frame(
        {"channel": C, "data": {"token": "TOKEN"}},
        {
            ("channel",): "optional channel",
            ("data",): "umd data",
            ("data", "token"): "umd token",
        },
        "UMD_UPDATE_PERMISSION_DENIED",
    ),
    "hotsock.channelStorageGet": Frame(
        {"channel": C, "key": "k"},
        {("channel",): "channel", ("key",): "key"},
        "STORAGE_PERMISSION_DENIED",
    ),
    "hotsock.channelStorageSet": Frame(
        {"channel": C, "key": "k", "data": 1, "scheduleExpression": LATER},
        {
            ("channel",): "channel",
            ("key",): "key",
            ("data",): "data",
            ("scheduleExpression",): "schedule",
            ("scheduleExpressionTimezone",): "schedule",
        },
        "STORAGE_PERMISSION_DENIED",
    ),
    "publish": Frame(
        {"event": "chat", "channel": C, "data": "hi", "scheduleExpression": LATER},
        {
            ("channel",): "channel",
            ("event",): "event",
            ("data",): "data",
            ("scheduleExpression",): "schedule",
            ("scheduleExpressionTimezone",): "schedule",
        },
        "PUBLISH_PERMISSION_DENIED",
    ),
}


@pytest.fixture
async def jim(attacked_postgres: Server, channel: str) -> AsyncIterator[Client]:
    async with subscriber(attacked_postgres, channel) as client:
        yield client


@asynccontextmanager
async def subscriber(server: Server, channel: str) -> AsyncIterator[Client]:
    """Who may do all of FRAMES in the test's channels, nothing elsewhere, and chats on after."""
    messages = {"chat": {**STORED, "scheduleBefore": FAR}, "typing": PASSING}
    storage = {"*": {"get": True, "set": True, "scheduleBefore": FAR}}
    granted = {"subscribe": True, "historyStart": 0, "messages": messages, "storage": storage}
    channels = {channel: granted, f"{channel}-2": {"subscribe": True, "getInfo": True}}
    async with subscribed(server, channel, uid="jim", channels=channels) as client:
        yield client
        await codes(client, {"event": "hotsock.subscribe", "channel": channel})  # it may have left
        await still_chats(client, channel)


async def still_chats(client: Client, channel: str) -> None:
    await client.publish(channel, "still here")
    assert (await client.receive("chat"))["data"] == "still here"


async def codes(client: Client, frame: dict[str, Any] | str | bytes) -> list[str]:
    """What a frame is refused with; nothing where it is taken."""
    await client.send(frame, LAST)
    refused = []
    while (answer := await client.receive()).get("error", {}).get("event") != LAST["event"]:
        if answer["event"] == "hotsock.error":
            refused.append(answer["error"]["code"])
    return refused


LAST = {"event": "hotsock.the-last"}  # its refusal says that what was before it is answered
CASES = [(event, path) for event, frame in FRAMES.items() for path in frame.all_fields]
NAMES = [f"{event}-{'.'.join(map(str, path))}" for event, path in CASES]


@pytest.mark.parametrize(("event", "path"), CASES, ids=NAMES)
async def test_a_bad_field_gets_its_code_and_changes_nothing(
    jim: Client, channel: str, event: str, path: Path
) -> None:
    shape = FRAMES[event]
    umd = {"scope": "umd", "uid": "jim", "umd": {"mood": "new"}, "umdUpdate": True}
    jwt = token(jim.server, **umd, channels={channel: {"umdUpdate": True}})
    good = for_channel({"event": event, **shape.good}, channel, jwt)
    tried = list(variants(good, path, shape.all_fields[path], shape.elsewhere))
    before = all_rows(jim)
    for name, frame, code in tried:
        if code is not None:
            assert await codes(jim, frame) == [code], (name, frame)
    assert all_rows(jim) == before
    for name, frame, code in tried:
        if code is None:
            refused = await codes(jim, frame)
            assert not {*refused} & (MALFORMED | BEYOND), (name, refused, frame)


def test_each_field_that_is_described_is_tried() -> None:
    for event, reference in messages("askOnConnection").items():
        constant = {("event",)} if event != "publish" else set()
        assert described(reference) - constant == FRAMES[event].all_fields.keys(), event


def described(reference: str) -> set[Path]:
    """The fields of a frame as docs/asyncapi.yaml has them."""
    found, schema = lookup("asyncapi.yaml", {"$ref": reference})
    return properties(found, schema)


def test_the_table_tries_every_kind_of_frame() -> None:
    assert FRAMES.keys() == messages("askOnConnection").keys()
    assert {kind for frame in FRAMES.values() for kind in frame.all_fields.values()} <= KINDS.keys()
    assert description("asyncapi.yaml")["asyncapi"] == "3.0.0"

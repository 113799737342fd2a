"""Every field of every HTTP call with every bad value: each gets its code and its status, leaves no
row behind, and the caller goes on (protocol.md sections 14, 15, 17 and 18)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.hostile.bad_values import (
    FAR,
    GROUPS,
    KINDS,
    LATER,
    MESSAGE,
    REACTION,
    C,
    Path,
    for_channel,
    status_of,
    variants,
)
from tests.hostile.unchanged import all_rows
from tests.support.backend import Backend, backend
from tests.support.calls import Answer
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.described import description, lookup, properties
from tests.support.grants import STORED
from tests.support.servers import Server, token


@dataclass(frozen=True)
class Call:
    """A good call, the kind of each field of its body, and the code for a channel or an event that
    is not the caller's business."""

    operation: str
    good: dict[str, Any]
    fields: dict[Path, str]
    elsewhere: str | None = None

    @property
    def path(self) -> str:
        return next(
            path
            for path, methods in description("openapi.yaml")["paths"].items()
            for described in methods.values()
            if described["operationId"] == self.operation
        )


LISTING: dict[Path, str] = {
    ("channel",): "channel",
    ("after",): "message after",
    ("before",): "unused",
    ("limit",): "limit",
    ("reverse",): "flag",
    ("expandReactions",): "flag",
}
SCHEDULE: dict[Path, str] = {
    ("scheduleExpression",): "schedule",
    ("scheduleExpressionTimezone",): "schedule",
}
REACTING: dict[Path, str] = {
    ("data",): "reaction data",
    ("data", "messageId"): "message",
    ("data", "reaction"): "reaction",
    ("data", "action"): "action",
    ("scheduleExpression",): "schedule",
    ("scheduleExpressionTimezone",): "unused",
}
PUBLISHING: dict[Path, str] = {
    ("channel",): "channel",
    ("data",): "data",
    ("key",): "unused",
    ("eagerIdGeneration",): "flag",
    **SCHEDULE,
}
BY_CLIENT: dict[Path, str] = {**PUBLISHING, ("ack",): "ack"}
BY_SERVER: dict[Path, str] = {
    **PUBLISHING,
    ("channel",): "any channel",
    ("store",): "store",
    ("deduplicationId",): "deduplication",
    ("emitPubSubEvent",): "flag",
}
LATE = {"scheduleExpression": LATER}
CALLS: dict[str, Call] = {
    "listMessages": Call("listMessages", {"channel": C}, LISTING, "NOT_SUBSCRIBED"),
    "listMessages in reverse": Call(
        "listMessages",
        {"channel": C, "reverse": True},
        {("after",): "unused", ("before",): "message after"},
    ),
    "listReactions": Call(
        "listReactions",
        {"channel": C, "messageId": MESSAGE},
        {("channel",): "channel", ("messageId",): "listed message"},
        "NOT_SUBSCRIBED",
    ),
    "publishMessage": Call(
        "publishMessage",
        {"channel": C, "event": "chat", "data": "hi", **LATE},
        {**BY_CLIENT, ("event",): "event"},
        "PUBLISH_PERMISSION_DENIED",
    ),
    "publishMessage of a reaction": Call(
        "publishMessage",
        {"channel": C, "event": "hotsock.messageReaction", "data": REACTION},
        {**BY_CLIENT, **REACTING},
        "NOT_SUBSCRIBED",
    ),
    "channelStorageGet": Call(
        "channelStorageGet",
        {"channel": C, "key": "k"},
        {("channel",): "channel", ("key",): "key"},
        "STORAGE_PERMISSION_DENIED",
    ),
    "channelStorageSet": Call(
        "channelStorageSet",
        {"channel": C, "key": "k", "data": 1, **LATE},
        {
            **{("channel",): "channel", ("key",): "key", ("data",): "data"},
            **{("ack",): "ack", **SCHEDULE},
        },
        "STORAGE_PERMISSION_DENIED",
    ),
    "channelStorageList": Call(
        "channelStorageList",
        {"channel": C, "keys": ["k"]},
        {
            ("channel",): "any channel",
            ("keys",): "keys",
            ("keys", 0): "key in a list",
            ("after",): "key after",
        },
    ),
    "getChannelInfo": Call(
        "getChannelInfo", {"channel": C}, {("channel",): "channel"}, "INFO_PERMISSION_DENIED"
    ),
    "umdUpdate": Call(
        "umdUpdate",
        {"channel": C, "token": "TOKEN"},
        {("channel",): "optional channel", ("token",): "umd token"},
        "UMD_UPDATE_PERMISSION_DENIED",
    ),
    "publish": Call(
        "publish",
        {"channel": C, "event": "chat", "data": "hi", **LATE},
        {**BY_SERVER, ("event",): "any event"},
    ),
    "publish of a reaction": Call(
        "publish",
        {"channel": C, "event": "hotsock.messageReaction", "data": {**REACTION, "uid": "jim"}},
        {
            **BY_SERVER,
            **REACTING,
            ("data", "uid"): "reactor",
            ("data", "umd"): "reactor's umd",
        },
    ),
    "publish of a storage entry": Call(
        "publish",
        {"channel": C, "event": "hotsock.channelStorageSet", "key": "k", "data": 1, **LATE},
        {**BY_SERVER, ("key",): "key", ("store",): "storage store"},
    ),
    "disconnect": Call(
        "disconnect",
        {"connectionId": "nobodys", "uid": "nobody", "channel": C},
        {
            **{("connectionId",): "who else", ("uid",): "who else"},
            ("channel",): "any optional channel",
        },
    ),
    "revokeTokens of a uid": Call(
        "revokeTokens",
        {"uid": "nobody", "issuedBefore": 1, "expiresAt": FAR},
        {("uid",): "who", ("issuedBefore",): "moment", ("expiresAt",): "moment ahead"},
    ),
    "revokeTokens by jti": Call("revokeTokens", {"jti": "nobodys"}, {("jti",): "who"}),
    "ban of a uid": Call(
        "ban",
        {"uid": "nobody", "channel": C, "until": FAR, "reason": "why"},
        {
            **{("uid",): "who", ("channel",): "any optional channel"},
            **{("until",): "moment ahead", ("reason",): "reason"},
        },
    ),
    "ban of an address": Call("ban", {"address": "192.0.2.1"}, {("address",): "address"}),
}
CASES = [(name, path) for name, call in CALLS.items() for path in call.fields]
NAMES = [f"{name}-{'.'.join(map(str, path))}" for name, path in CASES]


@pytest.fixture
async def jim(attacked_postgres: Server, channel: str) -> AsyncIterator[Client]:
    """A subscriber who may do all of CALLS in the test's channel, and nothing elsewhere; one
    message is stored there. On PostgreSQL, which takes least: what comes through is a 500."""
    messages = {"chat": {**STORED, "scheduleBefore": FAR}}
    storage = {"*": {"get": True, "set": True, "scheduleBefore": FAR}}
    granted = {
        **{"subscribe": True, "historyStart": 0, "getInfo": True},
        **{"messages": messages, "storage": storage},
    }
    async with subscribed(
        attacked_postgres, channel, uid="jim", channels={channel: granted}
    ) as client:
        id = await client.store(channel, "the only one")
        await client.receive("chat")
        yield client
        assert (await client.history(channel))[0]["id"] == id
        await client.publish(channel, "still here")
        while (await client.receive("chat"))["data"] != "still here":
            pass


@pytest.fixture
async def application(jim: Client) -> AsyncIterator[Backend]:
    async with backend(jim.server) as caller:
        yield caller


async def called(jim: Client, application: Backend, path: str, body: dict[str, Any]) -> Answer:
    if path.startswith("/connection/"):
        return await jim.call(path.removeprefix("/connection/"), body)
    return await application.call("POST", path, body)


@pytest.mark.parametrize(("name", "path"), CASES, ids=NAMES)
async def test_a_bad_field_gets_its_code_and_changes_nothing(
    jim: Client, application: Backend, channel: str, name: str, path: Path
) -> None:
    call = CALLS[name]
    umd = {"scope": "umd", "uid": "jim", "umd": {"mood": "new"}, "umdUpdate": True}
    jwt = token(jim.server, **umd, channels={channel: {"umdUpdate": True}})
    good = for_channel(call.good, channel, jwt)
    tried = list(variants(good, path, call.fields[path], call.elsewhere))
    before = all_rows(jim)
    for value, body, code in tried:
        if code is not None:
            answered = await called(jim, application, call.path, body)
            assert answered.refusal == (status_of(code), code), (value, body)
    assert all_rows(jim) == before
    for value, body, code in tried:
        if code is None:
            answered = await called(jim, application, call.path, body)
            # the message that is reacted to does not exist
            assert answered.status < 300 or answered.code == "MESSAGE_NOT_FOUND", (value, body)


# --- what is not in a body ----------------------------------------------------------------------

IN_THE_QUERY: dict[str, str] = {"after": "key after", "keys": "key"}
TEXTS = {
    group: {name: value for name, value in values.items() if isinstance(value, str)}
    for group, values in GROUPS.items()
}
INVALID_THERE = {"NUL": "INVALID_STORAGE_KEY"}


@pytest.mark.parametrize("field", IN_THE_QUERY)
async def test_a_bad_field_of_the_query_gets_its_code(
    application: Backend, channel: str, field: str
) -> None:
    for group, values in TEXTS.items():
        code = INVALID_THERE.get(group, KINDS[IN_THE_QUERY[field]][group])
        if field == "keys" and group in ("empty", "comma"):
            code = None  # an empty list, and two keys
        for name, value in values.items():
            answered = await application.channel(channel, f"/storage?{urlencode({field: value})}")
            expected = (200, None) if code is None else (status_of(code), code)
            got = (answered.status, None if answered.status == 200 else answered.code)
            assert got == expected, name


@pytest.mark.parametrize("rest", ["", "/storage"])
async def test_a_bad_name_in_the_path_gets_its_code(application: Backend, rest: str) -> None:
    for group, values in TEXTS.items():
        code = "INVALID_CHANNEL_NAME" if group == "NUL" else KINDS["any channel"][group]
        for name, value in values.items():
            if group == "large":
                continue  # longer than a request line may be
            answered = await application.channel(value, rest)
            expected = (200, None) if code is None else (status_of(code), code)
            got = (answered.status, None if answered.status == 200 else answered.code)
            assert got == expected, name


async def test_a_bad_message_is_none(jim: Client, application: Backend, channel: str) -> None:
    before = all_rows(jim)
    for group, values in TEXTS.items():
        for value in values.values():
            if group != "large":  # longer than a request line may be
                refused = await application.delete(channel, value)
                assert refused.refusal == (404, "MESSAGE_NOT_FOUND"), value
    assert all_rows(jim) == before


async def test_a_bad_schedule_is_none(jim: Client, application: Backend) -> None:
    before = all_rows(jim)
    for group, values in TEXTS.items():
        for value in values.values():
            if group in ("empty", "large"):
                continue  # another path, and longer than a request line may be
            encoded = quote(value, safe="").replace(".", "%2E")
            answered = await application.call("DELETE", f"/schedules/{encoded}")
            assert answered.refusal == (404, "INVALID_REQUEST"), value
    assert all_rows(jim) == before


# --- the table itself ---------------------------------------------------------------------------


def body_of(operation: str) -> Any:
    [described] = [
        described
        for methods in description("openapi.yaml")["paths"].values()
        for described in methods.values()
        if described["operationId"] == operation
    ]
    return described.get("requestBody", {}).get("content", {}).get("application/json", {})


BODIES = [
    described["operationId"]
    for methods in description("openapi.yaml")["paths"].values()
    for described in methods.values()
    if "requestBody" in described and described["operationId"] != "issueTokens"  # test_http.py
]


@pytest.mark.parametrize("operation", BODIES)
def test_each_field_that_is_described_is_tried(operation: str) -> None:
    """Each operation's calls together try all its fields, but the frame's that it ignores."""
    fields = {
        path
        for call in CALLS.values()
        if call.operation == operation
        for path in call.fields
        if isinstance(path[-1], str)
    }
    _, schema = lookup("openapi.yaml", body_of(operation)["schema"])
    ignored = {("key",)} & fields
    assert properties("openapi.yaml", schema) | ignored == fields

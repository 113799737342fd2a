"""Operations as rows hold them: `tests/store/test_schedules.py` has what becomes of schedules."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chat.actions.publishing import operation_of
from chat.protocol import events
from chat.protocol.publication import Source, parse
from chat.store.operations.audit import Actor
from chat.store.operations.messages import PublishMessage, SetReaction
from chat.store.operations.removal import Asked, DeleteMessage, RemoveMessages, ShowMessage
from chat.store.operations.storage import SetStorage
from chat.store.operations.work import (
    AddSchedule,
    CancelSchedule,
    UnreadableWork,
    decode,
    encode,
)
from chat.store.transaction import Operation

META, META_OF_UMD = events.meta("jim", "null"), events.meta("jim", "[1]")
SOURCE = Source("client.http", "connection", "192.0.2.1", "browser")
AT = datetime(2100, 1, 1, tzinfo=UTC)
MESSAGE = PublishMessage(
    *("c", "chat", '{"a": "é"}'.encode(), "jim", "[1]", META_OF_UMD, -1, "origin", True, SOURCE)
)


def asked(**body: Any) -> Operation[Any]:
    """What the server's API makes of a body."""
    return operation_of(parse(json.dumps({"channel": "c", **body})), SOURCE)


@pytest.mark.parametrize(
    "operation",
    [
        MESSAGE,
        PublishMessage("c", "chat", b"null", None, "null", None, 0),
        PublishMessage("c", "chat", b"[1e400, 18446744073709551616]", "jim", "null", META, 60),
        SetStorage("c", "k", b'"v"', "jim", "[1]", META_OF_UMD, 60, SOURCE),
        SetStorage("c", "k", None, None, "null", None),
        SetReaction("c", "id", "jim", "[1]", META_OF_UMD, "👍", "remove", "origin", True, SOURCE),
        DeleteMessage("c", "id", SOURCE, Actor("admin ann", "192.0.2.7")),
        RemoveMessages(("c",), ("id", "other"), True, SOURCE, Actor("python")),
        RemoveMessages(("c",), ("id",), False, None, None, Asked("eve", "", {"messages": 1})),
        ShowMessage("c", "id", Actor("python")),
        AddSchedule(AT, MESSAGE),
        CancelSchedule("id"),
        asked(event="chat", deduplicationId="once", store=-1, emitPubSubEvent=True),
        asked(event="chat", deduplicationId="once", scheduleExpression="at(2100-01-01T00:00:00)"),
        asked(event="hotsock.channelStorageSet", key="k", data=1, deduplicationId="once"),
        asked(
            **{"event": "hotsock.messageReaction", "deduplicationId": "once"},
            data={"messageId": "0" * 26, "reaction": "👍", "action": "add", "uid": "jim"},
        ),
    ],
)
def test_a_row_holds_all_of_it(operation: Operation[Any]) -> None:
    assert decode(encode(operation)) == operation


def test_a_row_says_what_it_is_in_plain_fields() -> None:
    """Rows outlive releases: what is here may be added to, not changed."""
    assert json.loads(encode(AddSchedule(AT, MESSAGE))) == {
        **{"kind": "schedule", "version": 1, "deduplication_id": "", "at": "2100-01-01T00:00:00Z"},
        "work": {
            **{"kind": "message", "version": 1, "deduplication_id": ""},
            **{"channel": "c", "event": "chat", "data": {"a": "é"}, "store": -1},
            **{"uid": "jim", "umd": [1], "by_server": False, "origin": "origin", "echo": True},
            "source": {
                **{"trigger": "client.http", "connection_id": "connection"},
                **{"address": "192.0.2.1", "user_agent": "browser"},
            },
        },
    }


def test_a_row_of_a_release_before_versions_is_read() -> None:
    sender = {"uid": "jim", "umd": "[1]", "meta": META_OF_UMD.decode(), "store": -1}
    source = {"trigger": "client.http", "connection_id": "connection", "address": "192.0.2.1"}
    message = {
        **{"kind": "message", "channel": "c", "event": "chat", "data": '{"a": "é"}', "id": ""},
        **{"origin": "origin", "echo": True, "source": source | {"user_agent": "browser"}},
    }
    assert decode(json.dumps(message | sender)) == MESSAGE
    entry = {"kind": "storage", "channel": "c", "key": "k", "data": None, "store": -1}
    by_server = {"uid": None, "umd": "null", "meta": None}
    assert decode(json.dumps(entry | by_server)) == SetStorage("c", "k", None, *by_server.values())


ROW = json.loads(encode(MESSAGE))


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("", "truncated"),
        ("[]", "array"),
        ('{"later":' + "[" * 100_000, "recursion"),
        (ROW | {"version": 7}, "unknown version 7"),
        (ROW | {"version": "1"}, "version"),
        (ROW | {"kind": "x"}, "kind"),
        ({"kind": "message"}, "channel"),
        ({"kind": "message", "data": 1}, "data"),
        (ROW | {"store": "1"}, "store"),
        ({"version": 1, "kind": "schedule", "at": "soon", "work": ROW}, "at"),
        ({"version": 1, "kind": "schedule", "at": "2100-01-01T00:00:00Z", "work": 1}, "work"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(row: object, named: str) -> None:
    with pytest.raises(UnreadableWork, match=named):
        decode(row if isinstance(row, str) else json.dumps(row))


def test_a_field_of_a_later_release_is_passed_over() -> None:
    assert json.loads(encode(decode(json.dumps(ROW | {"later": 1})))) == ROW

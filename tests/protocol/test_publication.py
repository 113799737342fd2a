"""What the server can publish, field by field (protocol.md section 15)."""

import json
from typing import Any

import pytest

from chat.protocol import publication
from chat.protocol.commands import Publish, React, SetStorage
from chat.protocol.errors import ProtocolError

MESSAGE = {"channel": "c", "event": "chat"}
STORAGE = {"channel": "c", "event": "hotsock.channelStorageSet", "key": "k"}
DATA = {"messageId": "m", "reaction": "👍", "action": "add", "uid": "jim"}
REACTION = {"channel": "c", "event": "hotsock.messageReaction", "data": DATA}


def parse(body: dict[str, Any], **more: Any) -> publication.Publication:
    return publication.parse(json.dumps(body | more))


def refused(body: dict[str, Any], **more: Any) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as refusal:
        parse(body, **more)
    assert refusal.value.message.endswith(".")
    return refusal.value.code, refusal.value.message


@pytest.mark.parametrize(
    ("body", "store"), [(MESSAGE, 0), (STORAGE, -1)], ids=["message", "storage"]
)
def test_store_has_a_default(body: dict[str, Any], store: int) -> None:
    assert parse(body).store == parse(body, store=None).store == store


@pytest.mark.parametrize("store", [-1, 1, 3_155_695_200])
@pytest.mark.parametrize("body", [MESSAGE, STORAGE], ids=["message", "storage"])
def test_store_within_its_range(body: dict[str, Any], store: int) -> None:
    assert parse(body, store=store).store == store


@pytest.mark.parametrize(
    ("body", "store"),
    [(MESSAGE, -2), (MESSAGE, 3_155_695_201), (MESSAGE, 10**30), (STORAGE, 0), (STORAGE, -2)],
)
def test_store_outside_of_its_range(body: dict[str, Any], store: int) -> None:
    code, message = refused(body, store=store)
    assert code == "INVALID_REQUEST"
    assert message.startswith("store ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("store", value) for value in (True, "1", 1.5, [])),
        *(("deduplicationId", value) for value in (1, True, {})),
        *(("eagerIdGeneration", value) for value in (1, "true")),
        *(("emitPubSubEvent", value) for value in (0, "")),
        *(("scheduleExpression", value) for value in (1, {})),
        *(("channel", value) for value in (1, [])),
        *(("event", value) for value in (None, 1)),
    ],
)
def test_a_wrong_type_is_named(field: str, value: Any) -> None:
    code, message = refused(MESSAGE, **{field: value})
    assert code == "INVALID_MESSAGE"
    assert field in message


def test_a_deduplication_id_has_at_most_128_characters_and_none_counts_as_absent() -> None:
    assert parse(MESSAGE, deduplicationId="😀" * 128).deduplication_id == "😀" * 128
    assert refused(MESSAGE, deduplicationId="x" * 129)[0] == "INVALID_REQUEST"
    assert parse(MESSAGE, deduplicationId="").deduplication_id == ""
    assert parse(MESSAGE, deduplicationId=None).deduplication_id == ""


@pytest.mark.parametrize(
    ("body", "kind"), [(MESSAGE, Publish), (STORAGE, SetStorage), (REACTION, React)]
)
def test_what_can_be_published(body: dict[str, Any], kind: type) -> None:
    assert isinstance(parse(body).command, kind)


@pytest.mark.parametrize("event", ["subscribe", "ping", "umdUpdate", "channelStorageGet", "x", ""])
def test_what_cannot(event: str) -> None:
    body = STORAGE | {"event": f"hotsock.{event}", "data": {"token": "x"}}
    assert refused(body)[0] == "UNKNOWN_EVENT"


@pytest.mark.parametrize("uid", [None, "", 1, "x" * 129])
def test_a_reaction_names_who_reacts(uid: Any) -> None:
    code, message = refused(REACTION, data=DATA | {"uid": uid})
    assert code == "INVALID_MESSAGE"
    assert "uid" in message


def test_a_reaction_keeps_the_metadata_as_it_was_sent() -> None:
    text = json.dumps(REACTION).replace('"uid"', '"umd": {"n": 18446744073709551616}, "uid"')
    assert publication.parse(text).umd == '{"n": 18446744073709551616}'
    assert parse(REACTION).umd == "null"
    assert refused(REACTION, data=DATA | {"umd": "x" * 1023})[0] == "DATA_TOO_LARGE"
    code, message = refused(REACTION, data=DATA | {"umd": [10**1000]})
    assert (code, message.split(" number")[0]) == ("INVALID_MESSAGE", "data.umd holds a")


def test_a_reaction_cannot_be_scheduled() -> None:
    later = {"scheduleExpression": "at(2999-01-01T00:00:00)"}
    assert refused(REACTION, **later)[0] == "INVALID_SCHEDULE_EXPRESSION"

"""What the server says: always one JSON object, with the client's own JSON as it came."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol import events
from chat.protocol.errors import ErrorCode
from chat.protocol.events import Event, Template, encoded

ID = "01HF7YAT00ABCDEFGHJKMNPQRS"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
awkward = st.sampled_from(['"', "\\", "\n", "\x01", "\x7f", "\u2028", "}", "%b", "%s", "</script>"])
strings = texts | st.lists(awkward | texts, max_size=4).map("".join)
raws = st.sampled_from(["null", "18446744073709551616", "1e400", ' {"b" :1, "a":2}', '"\\u00e9"'])
PLACE: Any = {"position": 7, "epoch": "e"}
uids = st.none() | strings
metas = st.builds(events.meta, uids, raws)


def parsed(event: Event) -> dict[str, Any]:
    frame = json.loads(event.payload)
    assert isinstance(frame, dict)
    return frame


@given(strings, strings, raws, uids, raws)
def test_a_message(name: str, channel: str, data: str, uid: str | None, umd: str) -> None:
    event = events.message(ID, name, channel, data.encode(), events.meta(uid, umd))
    assert parsed(event) == {
        "id": ID,
        "event": name,
        "channel": channel,
        "data": json.loads(data),
        "meta": {"uid": uid, "umd": json.loads(umd)},
    }
    assert f'"data":{data},"meta":{{"uid":'.encode() in event.payload
    assert event.payload.endswith(f'"umd":{umd}}}}}'.encode())


@given(strings, strings, raws)
def test_a_message_of_the_server_has_no_meta(name: str, channel: str, data: str) -> None:
    frame = parsed(events.message(ID, name, channel, data.encode(), None))
    assert list(frame) == ["id", "event", "channel", "data"]


@given(strings, strings, metas)
def test_a_reaction(channel: str, reaction: str, meta: bytes) -> None:
    for action, name in (("add", "Added"), ("remove", "Removed")):
        frame = parsed(events.reaction(ID, channel, ID[::-1], reaction, action, meta, 7))
        assert frame == {
            "id": ID,
            "event": f"hotsock.messageReaction{name}",
            "channel": channel,
            "data": {"messageId": ID[::-1], "reaction": reaction, "action": action},
            "meta": json.loads(meta),
            "position": 7,
        }


@given(strings, uids, raws, st.none() | strings, st.booleans())
def test_subscribed(channel: str, uid: str | None, umd: str, alias: str | None, auto: bool) -> None:
    meta = events.meta(uid, umd)
    frame = parsed(events.subscribed(channel, meta, alias, auto=auto, **PLACE))
    named = {} if alias is None else {"channelAlias": alias}
    assert frame == {
        "event": "hotsock.subscribed",
        "channel": channel,
        "data": {"autoSubscribed": True, **PLACE} if auto else PLACE,
        "meta": {"uid": uid, "umd": json.loads(umd), **named},
    }


@given(strings, metas, st.none() | strings)
def test_unsubscribed_has_the_meta_of_subscribed(
    channel: str, meta: bytes, alias: str | None
) -> None:
    frame = parsed(events.unsubscribed(channel, meta, alias))
    assert frame == {
        **parsed(events.subscribed(channel, meta, alias, **PLACE)),
        "event": "hotsock.unsubscribed",
        "data": {},
    }


@given(strings, strings, metas)
def test_connected(id: str, secret: str, meta: bytes) -> None:
    until = datetime(2024, 10, 13, 21, 9, 23, 999_999, timezone(timedelta(hours=2)))
    assert parsed(events.connected(id, secret, until, meta)) == {
        "event": "hotsock.connected",
        "data": {
            "connectionId": id,
            "connectionExpiresAt": "2024-10-13T19:09:23Z",
            "connectionSecret": secret,
        },
        "meta": json.loads(meta),
    }


def test_pong_has_the_data_that_clients_expect() -> None:
    assert events.PONG.payload == b'{"event":"hotsock.pong","data":"{}"}'


@pytest.mark.parametrize("year", [1970, 2024, 9999])
def test_an_instant_has_four_digits_of_year_and_no_fraction(year: int) -> None:
    assert events.instant(datetime(year, 1, 2, 3, 4, 5, 6, UTC)) == f"{year}-01-02T03:04:05Z"


@given(st.sampled_from(ErrorCode), strings, st.none() | strings, st.none() | strings)
def test_an_error_says_what_the_client_sent(
    code: ErrorCode, message: str, name: str | None, channel: str | None
) -> None:
    where = {} if channel is None else {"channel": channel}
    failed = {} if name is None else {"event": name}
    assert parsed(events.error(code, message, name, channel)) == {
        "event": "hotsock.error",
        **where,
        "error": {"code": code.value, "message": message, **failed},
    }


def test_an_error_does_not_send_back_what_is_too_long_for_a_name() -> None:
    told = events.error(ErrorCode.INVALID_MESSAGE, "No.", "é" * 100_000, "é" * 100_000)
    assert len(told.payload) < 4096
    assert parsed(told)["channel"] == "é" * events.MAX_ECHOED


def test_every_name_that_may_exist_comes_back_whole_in_an_error() -> None:
    name, channel = "e" * 128, "c" * 256
    frame = parsed(events.error(ErrorCode.NOT_SUBSCRIBED, "No.", name, channel))
    assert (frame["error"]["event"], frame["channel"]) == (name, channel)


@pytest.mark.parametrize("auto", [False, True])
def test_subscribed_lists_the_members_of_a_presence_channel(auto: bool) -> None:
    members = b'[{"uid":"jim","umd":1e400}]'
    event = events.subscribed("presence.c", b"{}", None, auto=auto, members=members, **PLACE)
    said = b'"autoSubscribed":true,' if auto else b""
    assert b'"data":{%b"members":%b,' % (said, members) in event.payload


def test_a_member_event_has_the_member_and_the_list_and_nothing_else() -> None:
    event = events.member(events.MEMBER_ADDED, "presence.é", b'{"uid":"a"}', b'[{"uid":"a"}]')
    assert json.loads(event.payload) == {
        "event": "hotsock.memberAdded",
        "channel": "presence.é",
        "data": {"member": {"uid": "a"}, "members": [{"uid": "a"}]},
    }


@pytest.mark.parametrize("channel", [None, "c"])
def test_umd_updated(channel: str | None) -> None:
    named = {} if channel is None else {"channel": channel}
    frame = json.loads(events.umd_updated(channel, events.meta("jim", "[1]")).payload)
    meta = {"uid": "jim", "umd": [1]}
    assert frame == {"event": "hotsock.umdUpdated", **named, "data": {}, "meta": meta}


# --- frames --------------------------------------------------------------------------------------

SIZES = [0, 1, 124, 125, 126, 127, 1022, 1023, 1024, 1025, 65534, 65535, 65536, 65537]


def framed(payload: bytes) -> bytes:
    """By RFC 6455 section 5.2."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


@pytest.mark.parametrize("size", SIZES)
def test_payload_and_frame_are_the_same_whichever_it_is_made_of(size: int) -> None:
    payload = "é".encode() * (size // 2) + b"x" * (size % 2)
    for event in (encoded(payload), Event(framed(payload))):
        assert event.frame == framed(payload)
        assert event.payload == payload


@pytest.mark.parametrize("size", [size for size in SIZES if size > 100])
def test_a_template_makes_what_a_message_is(size: int) -> None:
    """Of every size at which a frame begins otherwise, and after its sender's metadata changed."""
    template = Template("chat", "é")
    for meta in (events.meta("jim", "null"), events.meta("jim", "[1]"), events.meta(None, "1")):
        said = events.message_json(ID, "chat", "é", b"", meta, 12)
        data = b"1" * (size - len(said))
        if not data:
            continue
        payload = events.message_json(ID, "chat", "é", data, meta, 12)
        assert len(payload) == size
        ephemeral = payload.removesuffix(b',"position":12}') + b"}"
        for _ in range(2):
            assert template.stored(ID, data, meta, 12) == framed(payload)
            assert template.frame(ID, data, meta) == framed(ephemeral)


@given(strings, strings, st.lists(st.tuples(raws, metas), max_size=4))
def test_a_template_is_good_for_any_name_data_and_metadata(
    name: str, channel: str, messages: list[tuple[str, bytes]]
) -> None:
    template = Template(name, channel)
    for data, meta in messages:
        for position in (1, 2**63):
            whole = events.message(ID, name, channel, data.encode(), meta, position)
            assert template.stored(ID, data.encode(), meta, position) == whole.frame
        whole = events.message(ID, name, channel, data.encode(), meta)
        assert template.frame(ID, data.encode(), meta) == whole.frame

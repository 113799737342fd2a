"""What becomes of a publication (protocol.md sections 8, 13 and 15)."""

import json
from typing import Any

import pytest

from chat.actions.publishing import operation_of, remember, route_to
from chat.fanout.announcements import Change
from chat.protocol.events import Event
from chat.protocol.publication import Source, parse
from chat.protocol.session import MAX_REMEMBERED, Session
from chat.store.operations.work import AddSchedule
from tokens.claims import parse_claims

SOURCE = Source("server.http", address="192.0.2.1")


@pytest.mark.parametrize("emits", [True, False])
@pytest.mark.parametrize("event", ["chat", "hotsock.channelStorageSet"])
def test_whoever_listens_at_its_time_is_told_of_what_was_scheduled(event: str, emits: bool) -> None:
    """Though nobody listened in the process that scheduled it, at that time."""
    asked = {
        "channel": "c",
        "event": event,
        "key": "k",
        "data": 1,
        "emitPubSubEvent": emits,
        "scheduleExpression": "at(2100-01-01T00:00:00)",
    }
    what = operation_of(parse(json.dumps(asked)), SOURCE).what
    assert isinstance(what, AddSchedule)
    assert what.work.source == (SOURCE if emits else None)


@pytest.mark.parametrize(
    ("more", "ephemeral", "stored"),
    [
        ({}, True, False),
        ({"store": 60}, False, True),
        ({"emitPubSubEvent": True}, False, False),
        ({"emitPubSubEvent": True, "store": 60}, False, True),
    ],
)
def test_what_is_always_the_same_is_decided_once(
    more: dict[str, Any], ephemeral: bool, stored: bool
) -> None:
    messages = {"e": {"broadcast": True, **more}}
    claims = {"exp": 2e9, "scope": "connect", "channels": {"c": {"messages": messages}}}
    session = Session("id", parse_claims(json.dumps(claims).encode(), scope="connect"))
    route = route_to(session, "c", "e")
    assert (route.is_ephemeral, route.is_stored) == (ephemeral, stored)


# --- what a session caused ----------------------------------------------------------------------


def open_session() -> Session:
    return Session("id", parse_claims(b'{"scope":"connect","exp":1}', scope="connect"))


def caused(session: Session, channel: str, number: int) -> int | None:
    remember(session, Change(channel, number - 1, number, Event(b"")))
    return session.last_numbers.get(channel)


def test_the_last_change_of_a_channel_is_remembered() -> None:
    session = open_session()
    remember(session, None)
    assert not session.last_numbers
    assert [caused(session, "c", 4), caused(session, "d", 7), caused(session, "c", 5)] == [4, 7, 5]
    assert session.last_numbers == {"c": 5, "d": 7}


def test_what_is_caused_in_another_way_is_remembered_too() -> None:
    session = open_session()
    assert caused(session.seen_from(SOURCE), "c", 4) == 4
    assert caused(session, "d", 7) == 7
    assert caused(session.seen_from(SOURCE), "c", 3) == 4  # told late, by another process
    assert session.last_numbers == {"d": 7, "c": 4}


def test_what_is_remembered_is_bounded_and_never_the_newest_forgotten() -> None:
    session = open_session()
    for number in range(3 * MAX_REMEMBERED):
        assert caused(session, f"c{number}", number + 1) == number + 1
        assert len(session.last_numbers) <= MAX_REMEMBERED

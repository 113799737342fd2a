"""The list of a presence channel's members, in memory (protocol.md section 10)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.events import meta
from chat.protocol.presence import MAX_MEMBERS_BYTES, Roster

uids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(uid=uids, umd=st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists))
def test_a_member_is_json(uid: str, umd: Any) -> None:
    text = meta(uid, json.dumps(umd)).decode()
    assert json.loads(text) == {"uid": uid, "umd": umd}


def test_metadata_is_spliced_in_as_it_came() -> None:
    assert meta("é", '{"a": 1e400}') == '{"uid":"é","umd":{"a": 1e400}}'.encode()


@given(steps=st.lists(st.tuples(st.sampled_from("pd"), st.integers(0, 5), st.integers(0, 9))))
def test_its_size_is_that_of_its_members(steps: list[tuple[str, int, int]]) -> None:
    roster = Roster()
    for number, (what, at, value) in enumerate(steps):
        if what == "p" and str(at) not in roster.subscribers:
            roster.add_subscriber(str(at), f"u{at}")
        if what == "p":
            roster.put(f"u{at}", "9" * value or "0", number)
        else:
            roster.drop_subscriber(str(at))
    assert roster._bytes == sum(len(each.json) for each in roster.members.values())
    assert roster.json() == b"[%b]" % b",".join(each.json for each in roster.members.values())
    assert sorted(roster.members) == sorted(roster.subscribers.values())


def test_the_limit_is_met_exactly() -> None:
    roster, spare = Roster(), MAX_MEMBERS_BYTES - len(meta("jim", '""'))
    roster.check_room("jim", f'"{"x" * spare}"')
    with pytest.raises(ProtocolError) as refused:
        roster.check_room("jim", f'"{"x" * (spare + 1)}"')
    assert refused.value.code is ErrorCode.PRESENCE_CHANNEL_CAPACITY_REACHED
    roster.put("jim", f'"{"x" * spare}"', 1)
    with pytest.raises(ProtocolError):
        roster.check_room("pam", "1")
    roster.check_room("jim", "1")  # instead of what it takes now


def test_a_member_stays_while_it_has_a_subscription() -> None:
    roster = Roster()
    for connection in "ab":
        roster.add_subscriber(connection, "jim")
    roster.put("jim", "1", 1)
    assert roster.drop_subscriber("a") is None
    assert roster.drop_subscriber("a") is None  # it was none by then
    gone = roster.drop_subscriber("b")
    assert gone is not None
    assert gone.umd == "1"
    assert roster.members == {}

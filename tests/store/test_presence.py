"""What joins, leaves and updates do to the members' rows, in one batch and in many (section 10)."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.fanout.announcements import Change
from chat.models import Channel, Connection, Member, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store import changes_after as catchup
from chat.store.changes_after import changes_after
from chat.store.operations.connections import CloseConnection, Unsubscribe, UpdateUmd
from chat.store.transaction import Operation
from chat.store.writer import commit
from tests.support.written import do, new_id, node, opening, single_use, store, subscribing
from tokens.models import UsedToken

UIDS = ("jim", "pam", "tom")


@pytest.fixture
def channel(channel: str) -> str:
    return f"presence.{channel}"


@pytest.fixture
def process(database: str) -> str:
    row = node()
    do(row)
    return row.id


class Room:
    """One presence channel, with connections of a node."""

    def __init__(self, node_id: str, channel: str) -> None:
        self.node_id = node_id
        self.channel = channel

    def connection(self) -> str:
        row = opening(self.node_id)
        do(row)
        return row.id

    def join(self, connection: str, uid: str = "jim", umd: str = "null", **more: Any) -> Any:
        stated = {"uid": uid, "umd": umd, "node_id": self.node_id, **more}
        return subscribing(connection, self.channel, **stated)

    def leave(self, connection: str) -> Operation[Any]:
        return Unsubscribe(connection, self.channel)

    def close(self, connection: str) -> Operation[Any]:
        return CloseConnection(connection, (self.channel,))

    def members(self) -> list[tuple[str, str]]:
        rows = Member.objects.filter(removed=False, channel__name=self.channel).order_by("joined")
        return list(rows.values_list("uid", "umd"))


@pytest.fixture
def room(process: str, channel: str) -> Room:
    return Room(process, channel)


def announced(*operations: Operation[Any]) -> list[Change]:
    items = [item for operation in operations for item in operation.announced]
    assert all(isinstance(item, Change) for item in items)
    return items  # type: ignore[return-value]


def shown(change: Change) -> tuple[str, str, list[str]]:
    frame = json.loads(change.event.payload)
    data = frame["data"]
    kind = frame["event"].removeprefix("hotsock.member")
    return kind, data["member"]["uid"], [each["uid"] for each in data["members"]]


def code(outcome: Any) -> ErrorCode | None:
    return outcome.code if isinstance(outcome, ProtocolError) else None


@pytest.mark.parametrize("together", [True, False])
def test_each_change_takes_a_number_and_says_who_is_there(room: Room, together: bool) -> None:
    one, two, three = (room.connection() for _ in range(3))
    steps = [
        room.join(one, "jim", "1"),
        room.join(two, "pam"),
        room.join(three, "jim", "2"),
        room.leave(one),
        room.close(three),
    ]
    if together:
        do(*steps)
    else:
        for step in steps:
            do(step)
    changes = announced(*steps)
    assert [shown(change) for change in changes] == [
        ("Added", "jim", ["jim"]),
        ("Added", "pam", ["jim", "pam"]),
        ("Updated", "jim", ["jim", "pam"]),
        ("Removed", "jim", ["pam"]),
    ]
    assert [(each.previous, each.number) for each in changes] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [each.echo for each in changes] == [False, False, True, False]
    assert room.members() == [("pam", "null")]
    assert Channel.objects.get(name=room.channel).number == 4


def test_a_joiner_begins_after_its_own_joining_but_before_its_update(room: Room) -> None:
    """Else it would get the former, or miss the latter."""
    one, two, three = (room.connection() for _ in range(3))
    heads = [do(room.join(each, "jim", umd))[0][1] for each, umd in ((one, "1"), (two, "2"))]
    assert heads == [1, 1]
    assert do(room.join(three, "jim", "2"))[0][1] == 2


def test_joining_gives_the_members(room: Room) -> None:
    first, second = room.join(room.connection(), "jim"), room.join(room.connection(), "pam", "1.0")
    do(first, second)
    assert first.members == b'[{"uid":"jim","umd":null}]'
    expected = b'[{"uid":"jim","umd":null},{"uid":"pam","umd":1.0}]'
    assert second.members == expected


def test_a_connection_of_another_node_joins_nothing(room: Room) -> None:
    """Others took its process for dead, and are about to close it."""
    connection = room.connection()
    for node_id in ("", "other"):
        (outcome,) = commit([room.join(connection, node_id=node_id)])
        assert code(outcome) is ErrorCode.SERVICE_UNAVAILABLE
    (outcome,) = commit([room.join(new_id())])
    assert code(outcome) is ErrorCode.SERVICE_UNAVAILABLE
    assert room.members() == []
    assert not Subscription.objects.filter(channel__name=room.channel).exists()


def test_one_that_does_not_fit_changes_nothing_and_keeps_its_token(room: Room) -> None:
    digest = new_id()
    large = f'"{"x" * 60_000}"'
    one, two = room.connection(), room.connection()
    first = room.join(one, "jim", large)
    late = room.join(two, "pam", large, single_use=single_use(digest))
    update = UpdateUmd(one, f'"{"x" * 100_000}"', (room.channel,), own=True)
    outcomes = commit([first, late, update])
    capacity = ErrorCode.PRESENCE_CHANNEL_CAPACITY_REACHED
    assert [code(outcome) for outcome in outcomes] == [None, capacity, capacity]
    assert room.members() == [("jim", large)]
    assert announced(late, update) == []
    assert Channel.objects.get(name=room.channel).number == 1
    assert not UsedToken.objects.filter(id=digest).exists()
    assert Connection.objects.get(id=one).umd == "null"


def test_an_update_reaches_each_channel_once(room: Room) -> None:
    connection, plain = room.connection(), f"{room.channel[9:]}-plain"
    other = Room(room.node_id, f"{room.channel}-other")
    do(room.join(connection), other.join(connection), subscribing(connection, plain))
    update = UpdateUmd(connection, "1", (room.channel, other.channel, plain), own=True)
    do(update)
    assert [each.channel for each in announced(update)] == [room.channel, other.channel]
    assert all(each.echo for each in announced(update))
    rows = Subscription.objects.filter(connection_id=connection)
    assert set(rows.values_list("umd", flat=True)) == {"1"}
    assert Connection.objects.get(id=connection).umd == "1"
    again = UpdateUmd(connection, "1", (room.channel,), own=False)
    do(again)
    assert announced(again) == []


def test_an_update_of_what_has_ended_is_refused(room: Room) -> None:
    connection = room.connection()
    do(room.join(connection))
    update = UpdateUmd(connection, "1", (room.channel,), own=False)
    outcomes = commit([room.leave(connection), update])
    assert not isinstance(outcomes[0], Exception)
    assert room.members() == []
    assert announced(update) == []
    (outcome,) = commit([UpdateUmd(connection, "1", (room.channel,), own=False)])
    assert code(outcome) is ErrorCode.NOT_SUBSCRIBED
    do(room.close(connection))
    (outcome,) = commit([UpdateUmd(connection, "1", (), own=True)])
    assert code(outcome) is ErrorCode.INVALID_CONNECTION


Step = tuple[int, str, int]
STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["join", "leave", "update"]), st.integers(0, 2)),
    max_size=30,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, size=st.integers(1, 7))
def test_members_are_those_with_subscriptions(process: str, steps: list[Step], size: int) -> None:
    """However operations come and are batched: each list follows from the one before it, and the
    last one is what the rows hold."""
    room = Room(process, f"presence.{new_id()}")
    connections = [room.connection() for _ in range(5)]
    joined: dict[int, str] = {}
    operations: list[Operation[Any]] = []
    for at, what, value in steps:
        connection, uid = connections[at], UIDS[at % 3]
        if what == "join" and at not in joined:
            joined[at] = uid
            operations.append(room.join(connection, uid, str(value)))
        elif what == "leave" and at in joined:
            del joined[at]
            operations.append(room.leave(connection))
        elif what == "update" and at in joined and size == 1:
            operations.append(UpdateUmd(connection, str(value), (room.channel,), own=False))
    for batch in itertools.batched(operations, size):
        do(*batch)
    changes = announced(*operations)
    assert [each.number for each in changes] == list(range(1, len(changes) + 1))
    present: list[str] = []
    for kind, uid, listed in map(shown, changes):
        if kind == "Added":
            present.append(uid)
        elif kind == "Removed":
            present.remove(uid)
        assert listed == present
    assert [uid for uid, _ in room.members()] == present
    assert set(present) == set(joined.values())


# --- repair ------------------------------------------------------------------------------------


def test_a_gap_is_closed_with_what_became_of_each_member(room: Room) -> None:
    stays, changes, goes, comes = (room.connection() for _ in range(4))
    uids = {stays: "jim", changes: "pam", goes: "tom", comes: "ann"}
    do(*(room.join(each, uids[each]) for each in (stays, changes, goes)))
    do(store(room.channel))
    do(UpdateUmd(changes, "1", (room.channel,), own=False), room.join(comes, "ann"))
    do(UpdateUmd(comes, "2", (room.channel,), own=False), room.close(goes))
    found, known = changes_after(room.channel, 4)
    now = ["jim", "pam", "ann"]
    assert [shown(each) for each in found] == [
        ("Updated", "pam", now),
        ("Added", "ann", now),
        ("Removed", "tom", now),
    ]
    assert [(each.previous, each.number) for each in found] == [(4, 5), (5, 7), (7, 8)]
    assert known == 8
    everything, _ = changes_after(room.channel, 0)
    assert [each.number for each in everything] == [1, 4, 5, 7, 8]
    assert [shown(each)[0] for each in (everything[0], *everything[2:])] == [
        *("Added", "Added", "Added", "Removed"),
    ]


def test_a_long_gap_ends_with_the_true_list(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand frames with a thousand members each would close their subscribers."""
    monkeypatch.setattr(catchup, "MAX_MEMBER_BYTES", 1000)
    do(*(room.join(room.connection(), f"m{number:02}") for number in range(20)))
    found, known = changes_after(room.channel, 0)
    assert [each.number for each in found] == [20]
    assert len(shown(found[0])[2]) == known == 20


def test_plain_channels_have_no_members(room: Room) -> None:
    name = f"x{room.channel}"
    connection = room.connection()
    do(subscribing(connection, name))
    do(UpdateUmd(connection, "1", (name,), own=False), CloseConnection(connection, (name,)))
    assert not Member.objects.filter(channel__name=name).exists()
    assert changes_after(name, 0) == ([], 0)


def test_a_mark_stays_for_whoever_was_away(room: Room) -> None:
    connection = room.connection()
    do(room.join(connection))
    do(room.close(connection))
    row = Member.objects.get(channel__name=room.channel)
    assert (row.removed, row.number) == (True, 2)
    assert abs(row.changed_at - datetime.now(UTC)) < timedelta(seconds=10)

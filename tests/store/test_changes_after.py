"""What a gap is closed with: the true state, from the rows (P3)."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.fanout.announcements import Change
from chat.models import Channel, Message
from chat.protocol import events
from chat.store import changes_after as catchup
from chat.store.changes_after import changes_after
from chat.store.operations.messages import PublishMessage, SetReaction
from chat.store.operations.removal import DeleteMessage
from chat.store.operations.storage import SetStorage
from chat.store.writer import commit

META = events.meta("jim", '{"a":1}')


def store(channel: str, data: str = "null", meta: bytes | None = META) -> PublishMessage:
    return PublishMessage(channel, "chat", data.encode(), "jim", '{"a":1}', meta, -1)


def react(channel: str, message: str, reaction: str, action: str = "add") -> SetReaction:
    return SetReaction(channel, message, "jim", '{"a":1}', META, reaction, action)


def committed(*operations: Any) -> list[Change]:
    """The changes that these were announced with, one transaction each."""
    for operation in operations:
        (outcome,) = commit([operation])
        assert not isinstance(outcome, Exception), outcome
    return [operation.change for operation in operations]


def shown(changes: list[Change]) -> list[tuple[int, int, dict[str, Any]]]:
    """Their numbers and frames, but for the ids that a reaction's change gets anew."""
    frames = []
    for change in changes:
        frame = json.loads(change.event.payload)
        if frame["event"] != "chat":
            del frame["id"]
        frames.append((change.previous, change.number, frame))
    return frames


@pytest.fixture
def message(database: str, channel: str) -> str:
    (change,) = committed(store(channel))
    id: str = json.loads(change.event.payload)["id"]
    return id


def test_every_change_comes_as_it_was_announced(channel: str, message: str) -> None:
    announced = committed(
        store(channel, ' {"b": 1e400,  "a":18446744073709551616}'),
        react(channel, message, "👍"),
        store(channel, '"\\u00e9"', meta=None),
        react(channel, message, "👎"),
    )
    found, known = changes_after(channel, 1)
    assert shown(found) == shown(announced)
    assert known == announced[-1].number == 5
    assert found[0].event.payload == announced[0].event.payload


def test_only_what_is_above_the_number_comes(channel: str, message: str) -> None:
    announced = committed(*(store(channel) for _ in range(5)))
    found, known = changes_after(channel, announced[2].number)
    assert [change.event.payload for change in found] == [
        change.event.payload for change in announced[3:]
    ]
    assert changes_after(channel, known) == ([], known)


def test_messages_are_found_from_wherever_the_gap_begins(channel: str, message: str) -> None:
    draw = random.Random(4)
    operations: list[Any] = [
        draw.choice([store(channel), react(channel, message, f"r{number}")]) for number in range(40)
    ]
    announced = committed(*operations)
    Message.objects.filter(
        id__in=[json.loads(each.event.payload)["id"] for each in draw.sample(announced, 10)]
    ).delete()
    left = set(Message.objects.filter(channel__name=channel).values_list("number", flat=True))
    reactions = {change.number for change in announced if b'"chat"' not in change.event.payload}
    for after in range(1, 42):
        numbers = [change.number for change in changes_after(channel, after)[0]]
        assert numbers == sorted(number for number in left | reactions if number > after)


def test_messages_are_found_by_the_index_of_their_ids(
    database: str, channel: str, message: str
) -> None:
    committed(*(store(channel) for _ in range(3)))
    with CaptureQueriesContext(connection) as captured:
        changes_after(channel, 1)
    about = [query["sql"] for query in captured if 'FROM "chat_message"' in query["sql"]]
    assert len(about) == 3
    if database == "sqlite":
        for sql in about:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                assert "chat_message_history (channel_id=? AND id" in cursor.fetchall()[0][-1]


def test_a_reaction_comes_in_its_last_state(channel: str, message: str) -> None:
    *_, last = committed(
        react(channel, message, "👍"),
        store(channel, "1"),
        react(channel, message, "👍", "remove"),
        react(channel, message, "👍"),
        react(channel, message, "👍", "remove"),
    )
    found, known = changes_after(channel, 1)
    assert [(change.previous, change.number) for change in found] == [(1, 3), (3, 6)]
    assert shown(found)[1][2] == shown([last])[0][2]
    assert known == 6


def test_a_deletion_comes_without_what_it_deleted(channel: str, message: str) -> None:
    *_, last = committed(
        store(channel, "1"),
        react(channel, message, "👍"),
        react(channel, message, "👎"),
        DeleteMessage(channel, message),
    )
    found, known = changes_after(channel, 1)
    assert [(change.previous, change.number) for change in found] == [(1, 2), (2, 5)]
    assert found[-1].event.payload == last.event.payload
    assert json.loads(last.event.payload)["data"] == {"messageId": message}
    assert known == 5
    assert changes_after(channel, 0)[0][0].number == 2


def test_expiry_is_looked_past(channel: str, message: str) -> None:
    Message.objects.filter(id=message).update(expires_at=datetime.now(UTC) - timedelta(seconds=30))
    found, _ = changes_after(channel, 0)
    assert [change.number for change in found] == [1]


def test_what_was_purged_is_not_waited_for(channel: str, message: str) -> None:
    committed(store(channel), store(channel))
    Message.objects.filter(channel__name=channel).delete()
    assert changes_after(channel, 0) == ([], 3)


def test_another_channels_changes_do_not_come(channel: str, message: str) -> None:
    committed(store(f"{channel}-other"), store(f"{channel}-other"))
    assert [change.number for change in changes_after(channel, 0)[0]] == [1]


def test_a_channel_that_holds_nothing(database: str, channel: str) -> None:
    assert changes_after(channel, 7) == ([], 7)


def test_a_long_gap_is_read_in_parts(
    channel: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "MAX_READ", 3)
    committed(*(store(channel) for _ in range(4)))
    found, known = changes_after(channel, 0)
    assert ([change.number for change in found], known) == ([1, 2, 3], 3)
    found, known = changes_after(channel, known)
    assert ([change.number for change in found], known) == ([4, 5], 5)


@pytest.mark.parametrize("room", [1, 25, 10_000])
def test_large_data_is_read_in_parts(
    channel: str, message: str, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Each part brings something, and none is left out."""
    monkeypatch.setattr(catchup, "MAX_READ_CHARACTERS", room)
    large = f'"{"x" * 8}"'
    announced = committed(
        *(store(channel, large) for _ in range(3)),
        react(channel, message, "👍"),
        SetStorage(channel, "a", large.encode(), None, "null", None),
        react(channel, message, "👎"),
        SetStorage(channel, "b", large.encode(), None, "null", None),
        store(channel, large),
    )
    found, known = list[Change](), 1
    while known < announced[-1].number:
        part, known = changes_after(channel, known)
        assert part
        assert sum(each.event.payload.count(b"x") for each in part) <= max(room, 8)
        found += part
    assert [each.number for each in found] == [each.number for each in announced]


def test_what_is_committed_between_two_reads_does_not_hide_what_came_before_it(
    channel: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the second read's newest change the measure, the first read's gap would be lost."""
    later = [store(channel), react(channel, message, "👍")]

    def in_between(name: str, row: Message) -> events.Event:
        if later:
            committed(*(later.pop(0) for _ in list(later)))
        return catchup.events.message(row.id, row.event, name, b"0", None)

    monkeypatch.setattr(catchup, "message_event", in_between)
    found, known = changes_after(channel, 0)
    assert ([change.number for change in found], known) == ([1], 1)
    assert Channel.objects.get(name=channel).number == 3
    assert [change.number for change in changes_after(channel, known)[0]] == [2, 3]

"""What writing a storage entry does to its row, and what is announced (protocol.md section 12)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chat.models import Channel, StorageEntry
from chat.protocol import events
from chat.protocol.publication import Acknowledged
from chat.store.changes_after import changes_after
from chat.store.operations.acknowledgement import DoOnce, sender_of
from chat.store.operations.limits import Limit, OverQuota
from chat.store.operations.storage import SetStorage
from chat.store.writer import commit
from tests.support.written import META, do, store


def setting(channel: str, data: bytes | None, key: str = "k", seconds: int = -1) -> SetStorage:
    return SetStorage(channel, key, data, "jim", "null", META, seconds)


def updated(channel: str, data: bytes | None, position: int, key: str = "k") -> bytes:
    meta = None if data is None else META
    return events.storage_updated(channel, key, data, meta, position).payload


def announced(*operations: SetStorage) -> list[tuple[int, int, bytes]]:
    changes = [operation.change for operation in operations if operation.change]
    return [(change.previous, change.number, change.event.payload) for change in changes]


def entry(channel: str, key: str = "k") -> StorageEntry:
    return StorageEntry.objects.get(channel__name=channel, key=key)


@pytest.mark.parametrize("together", [True, False])
def test_only_what_changes_the_value_is_announced(
    database: str, channel: str, together: bool
) -> None:
    written = [b"1", b"1.0", b"true", b'{"a":1,"b":2}', b'{"b":2, "a":1}', None, None, b"1"]
    operations = [setting(channel, data) for data in written]
    if together:
        do(*operations)
    else:
        for operation in operations:
            do(operation)
    expected = [b"1", b"true", written[3], None, b"1"]
    assert announced(*operations) == [
        (at, at + 1, updated(channel, data, at + 1)) for at, data in enumerate(expected)
    ]
    assert (entry(channel).data, entry(channel).number) == ("1", 5)
    assert Channel.objects.get(name=channel).number == 5


def test_a_quota_counts_a_uid_once_where_a_batch_also_has_an_ack(
    database: str, channel: str
) -> None:
    limit = Limit(channel, 3, "too many")
    first, second, third, fourth = (
        replace(setting(channel, b"1", key), uid=channel, limit=limit) for key in "abcd"
    )
    do(first, second)
    receipt = Acknowledged(channel, "chat", ack="a" * 16)
    once = DoOnce(third, receipt, "digest", sender_of(channel, "connection"), "connection")
    outcomes = [type(each) for each in commit([replace(first, data=b"2"), once, fourth])]
    assert outcomes == [type(None), Acknowledged, OverQuota]


def test_a_write_that_changes_nothing_renews_meta_and_expiry(database: str, channel: str) -> None:
    do(setting(channel, b"1", seconds=60))
    pam = SetStorage(channel, "k", b"1", "pam", '{"a":1}', b"{}", 3600)
    do(pam)
    row = entry(channel)
    assert pam.change is None
    assert (row.uid, row.umd, row.number) == ("pam", '{"a":1}', 1)
    assert row.expires_at is not None
    assert abs(row.expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=30)
    assert row.data == "1"


def test_an_entry_that_has_expired_counts_as_unset(database: str, channel: str) -> None:
    do(setting(channel, b"1", seconds=60))
    StorageEntry.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    clearing, again = setting(channel, None), setting(channel, b"1")
    do(clearing)
    do(again)
    assert clearing.change is None
    assert announced(again) == [(1, 2, updated(channel, b"1", 2))]


def test_a_cleared_entry_stays_as_a_mark_that_has_expired(database: str, channel: str) -> None:
    do(setting(channel, b"1"))
    do(setting(channel, None))
    row = entry(channel)
    assert (row.data, row.uid, row.number) == ("", None, 2)
    assert row.expires_at is not None
    assert row.expires_at <= datetime.now(UTC)
    assert not StorageEntry.objects.live().of(channel).exists()


def test_keys_and_channels_are_apart(database: str, channel: str) -> None:
    other = f"{channel}-2"
    do(setting(channel, b"1"), setting(other, b"2", "l"))
    crossed = [setting(channel, b"2", "l"), setting(other, b"1")]
    do(*crossed)
    assert all(operation.change for operation in crossed)


def test_the_server_s_entries_have_no_meta(database: str, channel: str) -> None:
    do(SetStorage(channel, "k", b"1", None, "null", None))
    assert entry(channel).by_server
    assert entry(channel).shown == (b"1", None)


def test_a_gap_is_closed_with_the_last_value_of_each_entry(database: str, channel: str) -> None:
    """In their order among the messages, expired and cleared ones too, each for its key."""
    do(
        setting(channel, b"1", "a"),
        setting(channel, b"1", "b", seconds=1),
        store(channel),
        setting(channel, b"2", "a"),
        setting(channel, b"1", "c"),
        setting(channel, None, "c"),
    )
    StorageEntry.objects.filter(key="b").update(expires_at="2020-01-01T00:00:00Z")
    changes, known = changes_after(channel, 0)
    assert known == 6
    assert [(change.previous, change.number, change.key) for change in changes] == [
        (0, 2, "b"),
        (2, 3, None),
        (3, 4, "a"),
        (4, 6, "c"),
    ]
    expected = [change.event.payload for change in changes if change.key]
    assert expected == [
        updated(channel, b"1", 2, "b"),
        updated(channel, b"2", 4, "a"),
        updated(channel, None, 6, "c"),
    ]

"""A purge beside others: bounded transactions, whole ones, and nobody's rows torn away."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection
from psycopg import Connection
from psycopg.errors import ForeignKeyViolation

from chat.models import Message
from chat.purge import KINDS, Database, Kind, Part, PurgeError, Stop, count_due, purge, remove_rows
from tests.purge import rows
from tests.purge.rows import DAY, NOTHING, SECOND, ago, survivors

LIMIT_SECONDS = 10
BUSY_SECONDS = 5  # for which SQLite waits for a lock, unless told otherwise
_KINDS = {kind.name: kind for kind in KINDS}
MESSAGES, USED_TOKENS, CHANNELS = (_KINDS[name] for name in ("messages", "used_tokens", "channels"))


def expired(count: int) -> list[Message]:
    return rows.messages(rows.channel(), [ago(DAY)] * count)


# --- how much at once ---------------------------------------------------------------------------


def removed_by_each_transaction(**options: Any) -> list[int]:
    """Messages, from the progress that each transaction reports."""
    removed: list[int] = []
    purge(**options, on_progress=lambda _, count: removed.append(count))
    return removed


def test_no_transaction_takes_more_rows_than_it_may(url: str) -> None:
    expired(40)
    assert removed_by_each_transaction(batch_size=7) == [7, 7, 7, 7, 7, 5]


def test_a_transaction_that_takes_no_time_grows(url: str) -> None:
    expired(300)
    sizes = removed_by_each_transaction()
    assert sum(sizes) == 300
    assert max(sizes) > sizes[0]


def test_it_spares_a_server_that_runs(url: str) -> None:
    with Database() as database:
        rows.node(lease_until=ago(SECOND))
        assert not database.has_live_server()
        rows.node(lease_until=ago(-DAY))
        assert database.has_live_server()


# --- when to stop -------------------------------------------------------------------------------


def test_a_request_stops_it_before_the_next_transaction(url: str) -> None:
    stored = expired(10)
    stop = Stop()
    report = purge(batch_size=3, stop=stop, on_progress=lambda *_: stop.request("enough"))
    assert report.stopped == "enough"
    assert report.removed["messages"] == 3
    assert report.left["messages"] == 7
    assert len(survivors().messages) == len(stored) - 3


def test_time_that_is_up_stops_it(url: str) -> None:
    expired(10)
    report = purge(stop=Stop(max_seconds=1e-9))
    assert report.stopped == "max_seconds"
    assert report.left["messages"] == 10


def test_with_time_enough_it_finishes(url: str) -> None:
    expired(10)
    report = purge(stop=Stop(max_seconds=60))
    assert report.stopped is None
    assert report.left == {kind.name: 0 for kind in KINDS if kind.indexed}
    assert 0 < report.seconds < 60


def test_counting_changes_nothing(url: str) -> None:
    expired(10)
    rows.used_token(ago(SECOND))
    rows.channel(ago(8 * DAY))
    before = survivors()
    due = NOTHING | {"messages": 10, "reactions": 10, "used_tokens": 1, "channels": 1}
    assert count_due().left == due
    assert survivors() == before


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN"])
def test_the_log_is_made_small_unless_somebody_is_in_the_way(sqlite: str, lock: str) -> None:
    path = sqlite.removeprefix("sqlite:///")
    log = Path(f"{path}-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Database() as database:
        other.execute(lock)
        other.execute("SELECT count(*) FROM chat_message").fetchall()
        expired(20) if lock == "BEGIN" else None
        with limit(BUSY_SECONDS):
            database.shrink_log()
        other.execute("ROLLBACK")
        database.shrink_log()
        assert log.stat().st_size == 0


# --- who holds rows meanwhile -------------------------------------------------------------------


@contextmanager
def limit(seconds: float = LIMIT_SECONDS) -> Iterator[None]:
    """What is done within takes less."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def other(postgresql: str) -> Iterator[Connection]:
    """Another connection to PostgreSQL, in a transaction."""
    with closing(psycopg.connect(postgresql)) as other:
        yield other


@pytest.fixture
def third(postgresql: str) -> Iterator[Connection]:
    with closing(psycopg.connect(postgresql, autocommit=True)) as third:
        yield third


REACT = (
    "INSERT INTO chat_reaction (message_id, channel_id, number, uid, umd, reaction, removed,"
    " created_at) VALUES (%s, %s, 99, 'late', 'null', '👍', false, now())"
)


def test_a_reaction_in_flight_never_outlives_its_message(other: Connection) -> None:
    message, *_ = expired(3)
    other.execute(REACT, (message.id, message.channel_id))
    assert purge().removed["messages"] == 3
    with pytest.raises(ForeignKeyViolation):
        other.commit()
    assert survivors().reactions == set()


def test_a_reaction_just_committed_goes_with_its_message(other: Connection) -> None:
    message, *_ = expired(3)
    other.execute(REACT, (message.id, message.channel_id))
    other.commit()
    assert purge().removed["reactions"] == 4
    assert survivors().reactions == set()


def test_a_message_that_somebody_holds_is_left_to_the_next_run(other: Connection) -> None:
    held, *_ = expired(3)
    other.execute("SELECT * FROM chat_message WHERE id = %s FOR KEY SHARE", (held.id,))
    report = purge()
    assert report.removed["messages"] == 2
    assert report.left["messages"] == 1
    other.rollback()
    assert purge().removed["messages"] == 1


def test_a_message_whose_reactions_somebody_deletes_is_left_whole_and_soon(
    other: Connection,
) -> None:
    [held] = rows.messages(rows.channel(), [ago(DAY)], reactions=3)
    other.execute("DELETE FROM chat_reaction WHERE message_id = %s AND uid = 'user-1'", (held.id,))
    with limit():
        report = purge()
    assert report.removed["messages"] == report.removed["reactions"] == 0
    assert report.left["messages"] == 1
    other.rollback()
    assert len(survivors().reactions) == 3


def test_channels_are_not_locked_where_their_messages_go(other: Connection) -> None:
    [message, *_] = expired(3)
    other.execute("SELECT * FROM chat_channel WHERE id = %s FOR UPDATE", (message.channel_id,))
    assert purge().removed["messages"] == 3


def test_a_channel_that_the_server_has_locked_stays(other: Connection) -> None:
    channel = rows.channel(ago(30 * DAY))
    other.execute("SELECT * FROM chat_channel WHERE id = %s FOR NO KEY UPDATE", (channel.id,))
    assert purge().removed["channels"] == 0
    other.rollback()
    assert purge().removed["channels"] == 1


def test_a_channel_stays_that_got_its_subscriber_between_a_look_and_the_lock(
    other: Connection, third: Connection
) -> None:
    channel, subscription = rows.channel(ago(30 * DAY)), rows.subscription(rows.channel())
    # The purge's look begins, and waits for this lock before it comes to the row.
    other.execute("SELECT pg_advisory_xact_lock(1)")
    slow = replace(CHANNELS, due=f"pg_advisory_xact_lock(1) IS NOT NULL AND {CHANNELS.due}")
    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(remove_by_itself, slow, [channel.id])
        with limit():
            while not third.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
                pass
        third.execute(
            "UPDATE chat_subscription SET channel_id = %s WHERE id = %s",
            (channel.id, subscription.id),
        )
        other.commit()
        assert removing.result(LIMIT_SECONDS) == {"channels": 0}
    assert channel.id in survivors().channels


def remove_by_itself(kind: Kind, keys: list[Any]) -> dict[str, int]:
    with Database() as database:
        return remove_rows(database, kind, keys, database.now())


def test_two_at_once_share_the_work(url: str) -> None:
    expired(400)
    with ThreadPoolExecutor(2) as pool, limit():
        reports = list(pool.map(lambda _: purge(batch_size=9), range(2)))
    assert sum(report.removed["messages"] for report in reports) == 400
    assert sum(report.removed["reactions"] for report in reports) == 400
    assert survivors().messages == set()


# --- what goes wrong ----------------------------------------------------------------------------


def test_an_error_tells_what_was_removed_before(url: str) -> None:
    expired(10)

    def lose_the_table(kind: str, removed: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE chat_reaction RENAME TO gone")

    try:
        with pytest.raises(PurgeError) as failed:
            purge(batch_size=4, on_progress=lose_the_table)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO chat_reaction")
    assert failed.value.report.removed["messages"] == 4
    assert isinstance(failed.value.__cause__, DatabaseError)
    assert len(survivors().messages) == 6


def test_a_transaction_that_fails_is_undone_whole(url: str) -> None:
    stored = expired(4)
    faulty = replace(MESSAGES, parts=(*MESSAGES.parts, Part("more", "no_such_table", "id")))
    with Database() as database:
        with pytest.raises(DatabaseError):
            remove_rows(database, faulty, [row.id for row in stored], database.now())
        assert len(survivors().reactions) == 4
        removed = remove_rows(database, MESSAGES, [row.id for row in stored], database.now())
    assert removed == {"messages": 4, "reactions": 4}

"""Rows that somebody else holds locked: what needs them waits alone (P7)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from chat.cluster.leases import RenewLease
from chat.fanout.announcements import Change
from chat.models import Schedule, StorageEntry
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.runtime import recurring
from chat.store import set_aside, writer
from chat.store.operations.storage import SetStorage
from chat.store.operations.work import AddSchedule
from chat.store.outbox import MAX_TAKEN
from chat.store.transaction import Transaction
from chat.store.writer import Writer
from tests.support.databases import in_thread
from tests.support.waiting import until
from tests.support.written import node, opening, publish_many, react, store, subscribing

pytestmark = pytest.mark.usefixtures("postgres_default")

ROW = "SELECT 1 FROM chat_channel WHERE name = %s FOR UPDATE"
OTHER_ROWS = "SELECT 1 FROM chat_channel WHERE name <> %s AND name LIKE %s FOR UPDATE"


class Writing:
    """A writer, and what was announced."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, int]] = []
        self.crashes: list[Exception] = []
        self.writer = Writer(
            asyncio.get_running_loop(), self._announce, on_crash=self.crashes.append
        )

    def _announce(self, change: Any) -> None:
        assert isinstance(change, Change)
        self.announced.append((change.channel, change.number))

    def submit(self, operation: Any) -> asyncio.Task[Any]:
        return asyncio.ensure_future(self.writer.submit(operation))


@pytest.fixture
async def writing() -> AsyncIterator[Writing]:
    writing = Writing()
    writing.writer.start()
    yield writing
    await writing.writer.stop()
    assert writing.crashes == []


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_aside, "WAIT_SECONDS", 0.6)
    monkeypatch.setattr(set_aside, "LOCK_SECONDS", 0.1)


@contextmanager
def holding(url: str, sql: str, *parameters: object) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's transaction, which has executed this."""
    with psycopg.connect(url) as other:
        other.execute(sql, parameters)
        yield other
        other.rollback()


def refused(outcome: Any) -> bool:
    return isinstance(outcome, ProtocolError) and outcome.code is ErrorCode.SERVICE_UNAVAILABLE


async def test_what_needs_a_locked_row_waits_alone_and_in_order(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    other = f"{channel}-other"
    await writing.submit(store(channel))
    with holding(postgres_database, ROW, channel):
        waiting = [writing.submit(store(channel)) for _ in range(5)]
        await asyncio.gather(*(writing.submit(store(other)) for _ in range(5)))
        waiting.append(writing.submit(store(channel)))
        await writing.submit(store(other))
        assert not any(each.done() for each in waiting)
    assert sorted(ids := await asyncio.gather(*waiting)) == ids
    assert writing.announced.index((other, 6)) < writing.announced.index((channel, 2))
    await writing.submit(store(channel))
    assert [name for name, _ in writing.announced].count(channel) == 8


@pytest.mark.usefixtures("short")
async def test_who_waits_too_long_is_refused_and_later_ones_are_not(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    await writing.submit(store(channel))
    with holding(postgres_database, ROW, channel):
        waiting = [writing.submit(store(channel)) for _ in range(3)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(map(refused, outcomes))
    await writing.submit(store(channel))
    assert writing.announced == [(channel, 1), (channel, 2)]


async def test_messages_of_one_connection_keep_their_order_across_channels(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    done: asyncio.Queue[int] = asyncio.Queue()
    other = f"{channel}-other"
    await writing.submit(store(channel))
    with holding(postgres_database, ROW, channel):
        for at, name in enumerate((channel, other, channel)):
            message = store(name)
            message.origin = "connection"
            writing.writer.put(message, lambda outcome, at=at: done.put_nowait(at))
        await writing.submit(store(other))
        assert done.empty()
    assert [await done.get() for _ in range(3)] == [0, 1, 2]


async def test_so_they_do_where_the_first_waits_behind_outbox_entries(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    other, done = f"{channel}-other", asyncio.Queue[str]()
    await writing.submit(store(other))
    await in_thread(lambda: publish_many(channel, 2 * MAX_TAKEN + 1))
    with holding(postgres_database, ROW, other):
        for name in (channel, other):
            message = store(name)
            message.origin = "connection"
            writing.writer.put(message, lambda outcome, name=name: done.put_nowait(name))
        assert await done.get() == channel
    assert await done.get() == other


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "locked",
    [
        "SELECT 1 FROM chat_connection WHERE id = %s FOR UPDATE",  # the lock fails at COMMIT
        "SELECT 1 FROM chat_connection WHERE id = %s FOR UPDATE; LOCK TABLE chat_subscription",
    ],
)
async def test_a_row_that_no_channel_is_holds_up_no_others(
    writing: Writing, postgres_database: str, channel: str, locked: str
) -> None:
    process = node()
    connection = opening(process.id)
    await asyncio.gather(writing.submit(process), writing.submit(connection))
    sql = locked.replace("%s", f"'{connection.id}'")
    with holding(postgres_database, sql):
        waiting = writing.submit(subscribing(connection.id, channel))
        others = [store(f"{channel}-{at}") for at in range(5)]
        others += [store(channel), RenewLease(process.id, 600), opening(process.id)]
        await asyncio.gather(*map(writing.submit, others))
        assert not waiting.done()
        [outcome] = await asyncio.gather(waiting, return_exceptions=True)
        assert refused(outcome)


async def test_a_lock_that_was_short_puts_nobody_in_single_file(
    writing: Writing, postgres_database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who held it is gone when the writer looks."""
    tries: list[int] = []

    def find_busy(names: Collection[str]) -> set[str]:
        one.rollback()
        return set()

    def commit(operations: Sequence[Any]) -> list[object]:
        tries.append(len(operations))
        return writer.commit(operations)

    await writing.submit(store(channel))
    monkeypatch.setattr(writer, "find_busy", find_busy)
    monkeypatch.setattr(writing.writer._set_aside, "_commit", commit)
    with holding(postgres_database, ROW, channel) as one:
        names = [channel, *(f"{channel}-{at}" for at in range(499))]
        await asyncio.gather(*(writing.submit(store(name)) for name in names))
    assert len(tries) < 10


async def test_an_exception_between_two_waits_ends_nothing(
    writing: Writing, postgres_database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writing.submit(store(channel))
    with monkeypatch.context() as broken:
        broken.setattr(set_aside, "connection", None)  # which is closed while nothing waits
        with holding(postgres_database, ROW, channel):
            waiting = writing.submit(store(channel))
            await asyncio.sleep(0.1)
        await waiting
        await until(lambda: writing.crashes, "the exception")
    with holding(postgres_database, ROW, channel):
        waiting = writing.submit(store(channel))
        await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        await waiting
    writing.crashes.clear()


@pytest.mark.usefixtures("short")
async def test_one_that_needs_another_row_too_is_refused_alone(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    message = await writing.submit(store(channel))
    with holding(postgres_database, "SELECT 1 FROM chat_message WHERE id = %s FOR UPDATE", message):
        with holding(postgres_database, ROW, channel):
            operations = store(channel), react(channel, message), store(channel)
            waiting = [writing.submit(each) for each in operations]
            await asyncio.wait(waiting, timeout=0.2)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert list(map(refused, outcomes)) == [False, True, False]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("table", ["chat_channel", "chat_message"])
async def test_while_a_whole_table_is_locked_connections_and_leases_go_on(
    writing: Writing,
    postgres_database: str,
    channel: str,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[str] = []  # the log itself is throttled
    monkeypatch.setattr(set_aside.log, "warning", lambda said, *of: logged.append(said % of))
    process = node()
    await writing.submit(process)
    with holding(postgres_database, f"LOCK TABLE {table}"):
        waiting = [writing.submit(store(f"{channel}-{at}")) for at in range(5)]
        assert await writing.submit(RenewLease(process.id, 600))
        await writing.submit(opening(process.id))
        assert not any(each.done() for each in waiting)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(map(refused, outcomes))
    assert any(said.endswith("has locked a table, or rows of no channel") for said in logged)
    await asyncio.gather(*(writing.submit(store(f"{channel}-{at}")) for at in range(5)))


async def test_a_channel_that_is_free_again_waits_for_no_other_lock(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    names = [f"{channel}-{at}" for at in range(20)]
    await asyncio.gather(*(writing.submit(store(name)) for name in names))
    with (
        holding(postgres_database, OTHER_ROWS, names[-1], f"{channel}%"),
        holding(postgres_database, ROW, names[-1]) as one,
    ):
        waiting = {name: writing.submit(store(name)) for name in names}
        await asyncio.sleep(0.3)
        one.rollback()
        async with asyncio.timeout(2):  # each lock's turn in the queue would take longer
            await waiting[names[-1]]
        assert [name for name in names if waiting[name].done()] == [names[-1]]
    await asyncio.gather(*waiting.values())


async def test_two_writers_that_want_the_same_channels_refuse_nobody(
    writing: Writing, channel: str
) -> None:
    other = Writing()
    other.writer.start()
    names = [f"{channel}-{at}" for at in range(3)]
    for _ in range(20):
        await asyncio.gather(
            *(each.submit(store(name)) for name in names for each in (writing, other) for _ in "ab")
        )
    await other.writer.stop()
    numbers = sorted(number for _, number in writing.announced + other.announced)
    assert numbers == sorted(list(range(1, 81)) * 3)


async def test_what_waits_for_a_lock_is_bounded_in_bytes_and_refused_alone(
    writing: Writing, postgres_database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside, "MAX_BYTES", 5000)
    await writing.submit(store(channel))
    with holding(postgres_database, ROW, channel):
        waiting = [writing.submit(store(channel, "1" * 900)) for _ in range(9)]
        refused_at_once, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        assert await writing.submit(store(f"{channel}-other"))
        assert waiting[0] not in refused_at_once
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert list(map(refused, outcomes)) == [False] * 3 + [True] * 6


async def test_what_is_scheduled_on_a_locked_channel_holds_up_no_other(
    writing: Writing, postgres_database: str, channel: str
) -> None:
    names, soon = [f"{channel}-{at}" for at in range(3)], datetime.now(UTC) + timedelta(seconds=60)
    await in_thread(Schedule.objects.all().delete)
    for name in names:
        await writing.submit(AddSchedule(soon, store(name)))
    await in_thread(lambda: Schedule.objects.update(due_at=datetime.now(UTC)))
    late: set[str] = set()
    with holding(postgres_database, ROW, names[0]):
        for _ in range(2):  # the second look passes over what waits
            await recurring.run_due(writing.writer, late)
        while len(writing.announced) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert sorted(name for name, _ in writing.announced) == names[1:]
        assert names[0] in late
    while late:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert writing.announced[-1] == (names[0], 1)


async def test_what_expires_on_a_locked_channel_holds_up_no_other(
    writing: Writing, postgres_database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurring, "listening", lambda: True)
    monkeypatch.setattr(Transaction, "reporting", True)
    await in_thread(StorageEntry.objects.all().delete)
    names = [channel, f"{channel}-other"]
    for name in names:
        await writing.submit(SetStorage(name, "key", b"1", None, "null", None, 60))
    left = StorageEntry.objects.filter(reports_expiry=True).values_list("channel__name", flat=True)
    expired = {"reports_expiry": True, "expires_at": datetime.now(UTC)}
    await in_thread(lambda: StorageEntry.objects.update(**expired))
    late: set[str] = set()
    with holding(postgres_database, ROW, channel):
        await recurring.report_expiries(writing.writer, late)
        assert late == {channel}
        assert await in_thread(lambda: list(left)) == [channel]
    while late:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not await in_thread(left.all().exists)

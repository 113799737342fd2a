"""What is scheduled is done once, or cancelled, or refused (protocol.md section 13)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat.models import Channel, Message, Schedule, StorageEntry
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.runtime import recurring
from chat.store.operations.messages import PublishMessage
from chat.store.operations.schedules import RunSchedule
from chat.store.operations.storage import SetStorage
from chat.store.operations.work import AddSchedule, CancelSchedule, decode
from chat.store.writer import Writer, commit
from tests.support.databases import in_thread
from tests.support.written import META, do, store


def run(channel: str, id: str) -> RunSchedule:
    """As the scheduler does it, which has read the row before."""
    work = Schedule.objects.filter(id=id).values_list("work", flat=True).first()
    return RunSchedule(id, decode(work) if work else store(channel))


def later(work: PublishMessage | SetStorage, seconds: float = 3600) -> str:
    """The id of a schedule for a moment that lies so far ahead."""
    (id,) = do(AddSchedule(datetime.now(UTC) + timedelta(seconds=seconds), work))
    found: str = id
    return found


def unstored(channel: str, **rest: Any) -> PublishMessage:
    return PublishMessage(channel, "typing", b"1", "jim", "null", META, 0, **rest)


def write(channel: str, data: bytes | None, key: str = "k") -> SetStorage:
    return SetStorage(channel, key, data, "jim", "null", META)


@asynccontextmanager
async def started() -> AsyncIterator[tuple[Writer, list[Any]]]:
    """A writer, and what it announces."""
    announced: list[Any] = []
    writer = Writer(asyncio.get_running_loop(), announced.append)
    writer.start()
    try:
        yield writer, announced
    finally:
        await writer.stop()


@pytest.fixture
def all_due(database: str) -> None:
    """Nothing else waits in the database."""
    Schedule.objects.all().delete()


def test_it_is_done_once(database: str, channel: str) -> None:
    """Also where it is tried twice at once, or again."""
    message, entry = later(store(channel, '"m"')), later(write(channel, b"1"))
    runs = [run(channel, id) for id in (message, entry, message, entry)]
    do(*runs)
    again = run(channel, message)
    do(again)
    assert [len(it.announced) for it in [*runs, again]] == [1, 1, 0, 0, 0]
    assert Message.objects.get(channel__name=channel).data == '"m"'
    assert StorageEntry.objects.get(channel__name=channel).data == "1"
    assert Channel.objects.get(name=channel).number == 2
    assert not Schedule.objects.filter(id__in=[message, entry]).exists()


def test_an_entry_that_has_that_value_by_then_is_not_announced(database: str, channel: str) -> None:
    id = later(write(channel, b"1.0"))
    do(write(channel, b"1"))
    it = run(channel, id)
    do(it)
    assert not it.announced


def test_a_message_that_is_not_stored_stays_behind_all_before_it(
    database: str, channel: str
) -> None:
    id = later(unstored(channel, origin="me", echo=True))
    do(store(channel), store(channel))
    it = run(channel, id)
    do(it)
    (item,) = it.announced
    assert (item.previous, item.origin, item.echo) == (2, "me", True)
    assert Message.objects.filter(channel__name=channel).count() == 2


def test_what_was_cancelled_is_not_done(database: str, channel: str) -> None:
    id = later(store(channel))
    assert do(CancelSchedule(id), CancelSchedule(id), CancelSchedule("none")) == [
        *(True, False, False)
    ]
    it = run(channel, id)
    do(it)
    assert not it.announced
    assert not Message.objects.filter(channel__name=channel).exists()


def test_what_was_done_cannot_be_cancelled(database: str, channel: str) -> None:
    id = later(store(channel))
    do(run(channel, id))
    assert do(CancelSchedule(id)) == [False]


def test_the_past_is_refused_by_the_database_s_clock(database: str, channel: str) -> None:
    past = AddSchedule(datetime.now(UTC) - timedelta(seconds=5), store(channel))
    refused, _ = commit([past, store(channel)])
    assert isinstance(refused, ProtocolError)
    assert refused.code is ErrorCode.INVALID_SCHEDULE_EXPRESSION
    assert not Schedule.objects.filter(channel__name=channel).exists()


# --- the scheduler ------------------------------------------------------------------------------


async def test_what_is_due_is_done_in_the_order_of_scheduling(
    all_due: None, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest due first, some at a time; what is not due stays."""
    monkeypatch.setattr(recurring, "MAX_BATCH", 3)

    def fill() -> None:
        for number in range(4):
            later(store(channel, str(number)))
        Schedule.objects.update(due_at=datetime.now(UTC) - timedelta(minutes=1))
        first = later(store(channel, "99"))
        Schedule.objects.filter(id=first).update(due_at="2020-01-01T00:00:00Z")
        later(store(channel, "later"))

    await in_thread(fill)
    async with started() as (writer, announced):
        looks = [(await recurring.run_due(writer), len(announced)) for _ in range(3)]
        assert looks == [(0, 3), (recurring.LOOK_SECONDS, 5), (recurring.LOOK_SECONDS, 5)]
    rows = Message.objects.filter(channel__name=channel).order_by("number")
    assert await in_thread(lambda: [row.data for row in rows]) == ["99", "0", "1", "2", "3"]
    assert [item.number for item in announced] == [1, 2, 3, 4, 5]
    assert await in_thread(Schedule.objects.count) == 1


async def test_what_cannot_be_done_is_parked_once_and_holds_up_nothing_else(
    all_due: None, channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that cannot be read, and work that fails unexpectedly."""

    def fail(self: SetStorage, transaction: object) -> None:
        raise LookupError("what\0ever")

    def fill() -> dict[str, str]:
        works = {"unreadable": store(channel), "failing": write(channel, b"1")}
        found = {what: later(work) for what, work in works.items()} | {"": later(store(channel))}
        Schedule.objects.update(due_at=datetime.now(UTC) - timedelta(minutes=1))
        Schedule.objects.filter(id=found["unreadable"]).update(work='{"version":7}')
        return found

    monkeypatch.setattr(SetStorage, "apply", fail)
    ids = await in_thread(fill)
    async with started() as (writer, announced):
        for _ in range(2):
            await recurring.run_due(writer)
        assert len(announced) == 1
        problems = await in_thread(lambda: dict(Schedule.objects.values_list("id", "problem")))
        assert problems == {
            ids["unreadable"]: "unknown version 7",
            ids["failing"]: r"LookupError: what\x00ever",
        }
        parked = [record for record in caplog.records if record.name == "chat.recurring"]
        assert len(parked) == 2
        monkeypatch.undo()
        tried_again = {"parked_at": None, "problem": ""}
        await in_thread(lambda: Schedule.objects.filter(id=ids["failing"]).update(**tried_again))
        await recurring.run_due(writer)
        assert len(announced) == 2
    assert await in_thread(Schedule.objects.count) == 1


async def test_while_nothing_is_due_nothing_is_written(all_due: None, channel: str) -> None:
    await in_thread(lambda: later(store(channel)))
    pause = await recurring.run_due(None)  # type: ignore[arg-type]
    assert pause == recurring.LOOK_SECONDS


async def test_it_is_there_when_something_becomes_due(
    all_due: None, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process schedules is done at its time, whenever the next look would be; what
    another has, too, where it is found by a look before."""
    monkeypatch.setattr(recurring, "LOOK_SECONDS", 3600)
    announced: asyncio.Queue[Any] = asyncio.Queue()
    writer = Writer(asyncio.get_running_loop(), announced.put_nowait)
    writer.start()
    await in_thread(lambda: later(store(channel, '"found"'), 0.3))
    async with asyncio.timeout(30):
        looking = asyncio.create_task(recurring.run_schedules(writer))
        try:
            for data in (b'"found"', b'"heard of"'):
                assert data in (await announced.get()).event.payload
                at = datetime.now(UTC) + timedelta(seconds=0.3)
                await writer.submit(AddSchedule(at, store(channel, '"heard of"')))
        finally:
            looking.cancel()
            await writer.stop()

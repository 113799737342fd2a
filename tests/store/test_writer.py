"""Group commit: nothing is announced before it is committed, and all are answered (P1)."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chat.counts import counts
from chat.fanout.announcements import Change
from chat.models import Channel, Message
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store import writer as writers
from chat.store.transaction import Operation, Transaction
from chat.store.writer import MAX_BATCH, Writer
from tests.support.databases import in_thread
from tests.support.written import react, store


@asynccontextmanager
async def started(
    announce: Callable[[Change], None], on_crash: Callable[[Exception], object] = print
) -> AsyncIterator[Writer]:
    writer = Writer(asyncio.get_running_loop(), announce, on_crash=on_crash)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


@dataclass(slots=True)
class Execute(Operation[None]):
    """On the writer's own connection."""

    sql: str

    def apply(self, transaction: Transaction) -> None:
        transaction.execute(self.sql)


class WatchedCommits:
    """The writer's own `commit`, watched, and held up at will."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.begun = threading.Event()
        self.let_through = threading.Event()
        self.let_through.set()
        self._commit = writers.commit
        monkeypatch.setattr(writers, "commit", self)

    def __call__(self, operations: Sequence[Operation[Any]], *hooks: Any, **more: Any) -> list[Any]:
        self.sizes.append(len(operations))
        self.begun.set()
        assert self.let_through.wait(10)
        return self._commit(operations, *hooks, **more)


async def test_what_is_answered_is_committed(database: str, channel: str) -> None:
    async with started(lambda change: None) as writer:
        id = await writer.submit(store(channel, "1"))
        assert await in_thread(lambda: Message.objects.get(id=id).data) == "1"


async def test_changes_are_announced_in_the_order_of_the_commit_before_they_are_answered(
    database: str, channel: str
) -> None:
    announced: list[Change] = []
    answered: list[tuple[str, int]] = []

    async def publish(writer: Writer, at: int) -> None:
        operation = store(channel, str(at))
        await writer.submit(operation)
        assert operation.change in announced
        answered.append((str(at), len(announced)))

    async with started(announced.append) as writer:
        await asyncio.gather(*(publish(writer, at) for at in range(200)))
    assert [change.number for change in announced] == list(range(1, 201))
    assert [at for at, _ in answered] == [str(at) for at in range(200)]


async def test_one_that_is_refused_is_refused_alone_and_not_announced(
    database: str, channel: str
) -> None:
    announced: list[Change] = []
    async with started(announced.append) as writer:
        outcomes = await asyncio.gather(
            writer.submit(store(channel)),
            writer.submit(react(channel, "no such message")),
            writer.submit(store(channel)),
            return_exceptions=True,
        )
    assert [isinstance(outcome, str) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], ProtocolError)
    assert outcomes[1].code is ErrorCode.MESSAGE_NOT_FOUND
    assert [change.number for change in announced] == [1, 2]


@pytest.mark.usefixtures("postgres_default")
async def test_one_that_the_database_refuses_is_not_announced(channel: str) -> None:
    """PostgreSQL does so when the row is written, after the change was made up."""
    announced: list[Change] = []
    async with started(announced.append) as writer:
        outcomes = await asyncio.gather(
            *(writer.submit(store(channel, data)) for data in ("1", '"\0"', "2")),
            return_exceptions=True,
        )
    assert [isinstance(outcome, str) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], ProtocolError)
    assert outcomes[1].code is ErrorCode.SERVICE_UNAVAILABLE
    assert [change.number for change in announced] == [1, 2]


@pytest.mark.usefixtures("sqlite")
async def test_while_one_batch_commits_the_next_one_gathers(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = WatchedCommits(monkeypatch)
    commits.let_through.clear()
    async with started(lambda change: None) as writer:
        waiting = [asyncio.create_task(writer.submit(store(channel)))]
        await asyncio.sleep(0)
        assert await in_thread(lambda: commits.begun.wait(10))
        waiting += [
            asyncio.create_task(writer.submit(store(channel))) for _ in range(MAX_BATCH + 20)
        ]
        await asyncio.sleep(0)
        commits.let_through.set()
        await asyncio.gather(*waiting)
    assert commits.sizes == [1, MAX_BATCH, 20]


@pytest.mark.usefixtures("sqlite")
async def test_one_who_no_longer_waits_takes_nothing_back(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[Change] = []
    commits = WatchedCommits(monkeypatch)
    commits.let_through.clear()
    async with started(announced.append) as writer:
        gone = asyncio.create_task(writer.submit(store(channel, "1")))
        stays = asyncio.create_task(writer.submit(store(channel, "2")))
        await asyncio.sleep(0)
        gone.cancel()
        commits.let_through.set()
        await stays
    assert gone.cancelled()
    assert [change.number for change in announced] == [1, 2]


async def test_stopping_commits_what_was_submitted_and_refuses_the_rest(
    database: str, channel: str
) -> None:
    async with started(lambda change: None) as writer:
        before = [asyncio.create_task(writer.submit(store(channel))) for _ in range(30)]
        await asyncio.sleep(0)
    assert len(await asyncio.gather(*before)) == 30
    with pytest.raises(ProtocolError) as refused:
        await writer.submit(store(channel))
    assert refused.value.code is ErrorCode.SERVICE_UNAVAILABLE
    number = await in_thread(lambda: Channel.objects.get(name=channel).number)
    assert number == 30
    assert not any(thread.name == "writer" for thread in threading.enumerate())


@pytest.mark.usefixtures("sqlite")
async def test_a_database_that_is_away_refuses_all_and_ends_nothing(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise OSError("away")

    announced, before = list[Change](), counts.refused.copy()
    async with started(announced.append) as writer:
        with monkeypatch.context() as patch:
            patch.setattr("chat.store.writer._cursor", away)
            outcomes = await asyncio.gather(
                *(writer.submit(store(channel)) for _ in range(3)), return_exceptions=True
            )
        codes = [outcome.code for outcome in outcomes if isinstance(outcome, ProtocolError)]
        assert codes == [ErrorCode.SERVICE_UNAVAILABLE] * 3
        assert counts.refused - before == {"unavailable": 3}
        assert announced == []
        assert await writer.submit(store(channel))


@pytest.mark.usefixtures("sqlite")
async def test_one_whose_announcement_or_callback_fails_fails_alone(
    channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    def announce(change: Change) -> None:
        if change.number == 2:
            raise KeyError("announced")

    def fail(outcome: object) -> None:
        raise KeyError("told")

    async with started(announce) as writer:
        writer.put(store(channel), fail)
        assert all(await asyncio.gather(*(writer.submit(store(channel)) for _ in range(3))))
    assert await in_thread(Message.objects.filter(channel__name=channel).count) == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR]  # others are throttled


@pytest.mark.usefixtures("sqlite")
async def test_an_exception_that_nothing_expects_refuses_who_waits_and_is_told(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: object, **hooks: object) -> Any:
        raise crashed

    crashed, crashes, before = MemoryError(), list[Exception](), counts.refused.copy()
    monkeypatch.setattr(writers, "RESTART_SECONDS", 0.0)
    async with started(lambda change: None, crashes.append) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(writers, "commit", crash)
            with pytest.raises(ProtocolError) as refused:
                await writer.submit(store(channel))
        assert refused.value.code is ErrorCode.SERVICE_UNAVAILABLE
        assert counts.refused - before == {"failed": 1}
        assert await writer.submit(store(channel))
        assert crashes == [crashed]


@pytest.mark.usefixtures("sqlite")
async def test_what_waits_is_bounded_in_bytes(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "MAX_WAITING_BYTES", 5000)
    async with started(lambda change: None) as writer:
        large = [asyncio.ensure_future(writer.submit(store(channel, "1" * 900))) for _ in range(9)]
        outcomes = await asyncio.gather(*large, return_exceptions=True)
        assert [isinstance(outcome, str) for outcome in outcomes] == [True] * 3 + [False] * 6
        assert await writer.submit(store(channel))


async def test_a_file_that_somebody_else_holds_is_waited_for(
    sqlite: None, sqlite_database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than SQLite does by itself, unless the writer ends meanwhile."""
    monkeypatch.setattr(writers, "FILE_TRIES", 1000)
    async with started(lambda change: None) as writer:
        await writer.submit(Execute("PRAGMA busy_timeout = 10"))
        other = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(writer.submit(store(channel)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert await waiting
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(writer.submit(store(channel)))
        await asyncio.sleep(0.05)
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 5
    with pytest.raises(ProtocolError):
        await waiting
    other.close()

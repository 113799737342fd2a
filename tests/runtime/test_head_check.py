"""What others commit is noticed: by SQLite's count of commits, or by asking for the heads."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from django.db import connection

from chat.fanout.broker import MemoryBroker
from chat.fanout.hub import Hub
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.runtime import recurring
from chat.runtime.recurring import check_heads, heads, repeat
from chat.store import writer as writers
from chat.store.writer import OutsideCommits, Writer, commit
from tests.support.client import eventually
from tests.support.databases import in_thread
from tests.support.written import do, store


def elsewhere() -> None:
    """Something is committed through another connection."""
    with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as other, other:
        other.execute(
            "INSERT INTO tokens_usedtoken (digest, expires_at)"
            " VALUES (hex(randomblob(32)), '2020-01-01')"
        )


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "POLL_SECONDS", 0)


@pytest.mark.usefixtures("sqlite", "_at_once")
def test_only_the_commits_of_others_are_noticed(channel: str) -> None:
    noticed: list[bool] = []
    commits = OutsideCommits(lambda: noticed.append(True))
    commits.look()
    assert noticed == []  # nothing to compare yet: not even a connection
    connection.ensure_connection()
    commits.look()
    assert noticed == [True]  # whatever came before
    do(store(channel))
    commits.look()
    assert noticed == [True]
    elsewhere()
    commits.look()
    commits.look()
    assert noticed == [True, True]


@pytest.mark.usefixtures("sqlite", "_at_once")
def test_a_new_connection_may_have_missed_something() -> None:
    noticed: list[bool] = []
    commits = OutsideCommits(lambda: noticed.append(True))
    for _ in range(2):
        connection.ensure_connection()
        commits.look()
        commits.look()
        connection.close()
    assert noticed == [True, True]


@pytest.mark.usefixtures("sqlite")
def test_it_is_not_asked_for_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "POLL_SECONDS", 60)
    noticed: list[bool] = []
    commits = OutsideCommits(lambda: noticed.append(True))
    connection.ensure_connection()
    assert commits.look() == 60
    elsewhere()
    assert 50 < commits.look() < 60
    assert noticed == [True]


@contextlib.asynccontextmanager
async def writing(notice: Callable[[], object]) -> AsyncIterator[Writer]:
    writer = Writer(asyncio.get_running_loop(), lambda item: None, notice)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


@pytest.mark.usefixtures("sqlite")
async def test_an_idle_writer_looks(channel: str) -> None:
    noticed: list[bool] = []
    async with writing(lambda: noticed.append(True)) as writer:
        await writer.submit(store(channel))
        await eventually(lambda: asyncio.sleep(0.01, noticed))
        before = len(noticed)
        await asyncio.to_thread(elsewhere)
        await eventually(lambda: asyncio.sleep(0.01, len(noticed) > before))


@pytest.mark.usefixtures("sqlite")
async def test_a_busy_writer_looks_too(channel: str) -> None:
    noticed: list[bool] = []

    async def once_more() -> bool:
        await writer.submit(store(channel))
        return len(noticed) > before

    async with writing(lambda: noticed.append(True)) as writer:
        before = 0
        await eventually(once_more)
        await asyncio.to_thread(elsewhere)
        before = len(noticed)
        await eventually(once_more)


def test_heads_are_those_of_channels_that_hold_something(database: str, channel: str) -> None:
    do(store(channel), store(channel))
    assert heads([channel, f"{channel}-unknown"]) == [(channel, 2)]
    assert heads([]) == []


class Listened(Hub):
    """A hub that keeps what it is told of the heads."""

    def __init__(self, channels: list[str]) -> None:
        super().__init__(_nothing, MemoryBroker())
        self.heard = channels
        self.checked: list[tuple[str, int]] = []

    def channels(self) -> list[str]:
        return self.heard

    def check(self, heads: object) -> None:
        self.checked += heads  # type: ignore[arg-type]


async def _nothing(channel: str, after: int) -> tuple[list[object], int]:  # type: ignore[misc]
    raise AssertionError


@contextlib.asynccontextmanager
async def watched(hub: Hub) -> AsyncIterator[asyncio.Event]:
    due = asyncio.Event()
    work = repeat("checking", partial(check_heads, hub), sooner=due, retry_seconds=0)
    task = asyncio.create_task(work)
    try:
        yield due
    finally:
        task.cancel()


@pytest.mark.usefixtures("sqlite")
async def test_where_somebody_committed_the_heads_are_read(channel: str) -> None:
    await in_thread(lambda: commit([store(channel)]))
    hub = Listened([channel])
    async with watched(hub) as due:
        due.set()
        await eventually(lambda: asyncio.sleep(0.01, hub.checked))
        assert hub.checked == [(channel, 1)]


@pytest.mark.usefixtures("postgres_default")
async def test_on_postgresql_they_are_read_every_so_often(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurring, "CHECK_SECONDS", 0.01)
    await in_thread(lambda: commit([store(channel)]))
    hub = Listened([channel])
    async with watched(hub):
        await eventually(lambda: asyncio.sleep(0.01, len(hub.checked) > 2))


async def test_where_nobody_listens_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    monkeypatch.setattr(recurring, "read", reads.append)
    async with watched(Listened([])) as due:
        due.set()
        await eventually(lambda: asyncio.sleep(0, not due.is_set()))
    assert reads == []


async def test_a_database_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(query: object, channels: list[str]) -> list[tuple[str, int]]:
        attempts.append(channels)
        if len(attempts) < 3:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")
        return [("c", 9)]

    attempts: list[list[str]] = []
    monkeypatch.setattr(recurring, "read", read)
    hub = Listened(["c"])
    async with watched(hub) as due:
        due.set()
        await eventually(lambda: asyncio.sleep(0.01, hub.checked))
    assert hub.checked == [("c", 9)]
    assert len(attempts) == 3

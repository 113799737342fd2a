"""The link between processes through PostgreSQL alone, two of them in one."""

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest

from chat.cluster import postgresql_broker
from chat.cluster.postgresql_broker import PostgresqlBroker, notified, other_listeners
from chat.fanout.announcements import Change, Ephemeral
from chat.fanout.broker import BrokerStatus
from tests.cluster.end import EVENT, End, change, running, shown
from tests.support.databases import in_thread

pytestmark = pytest.mark.usefixtures("postgres_default")


def process(name: str) -> End[PostgresqlBroker]:
    return End(PostgresqlBroker(name))


@pytest.fixture
def outsider(postgres_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_database, autocommit=True) as session:
        yield session


async def test_a_lone_process_announces_nothing(outsider: psycopg.Connection) -> None:
    one = process("one")
    async with running(one):
        await one.until(lambda: one.broker._alone)
        outsider.execute(f'LISTEN "{notified()}"')
        one.broker.announce(change(1))
        one.broker.notify("told")
        await asyncio.sleep(0.1)
        heard = [each.payload for each in outsider.notifies(timeout=0.1)]
        assert not [payload for payload in heard if "probe" not in payload]


class Slow(PostgresqlBroker):
    """Hears everything `seconds` later."""

    seconds = 0.2

    def _receive(self, piece: bytes) -> None:
        asyncio.get_running_loop().call_later(self.seconds, super()._receive, piece)


class Newcomer(End[PostgresqlBroker]):
    """Knows how far it has looked into the database, whose channel has the number `head`."""

    head = looked = 0

    def _check(self) -> None:
        self.looked = self.head
        super()._check()


@pytest.mark.parametrize("late", [False, True])
async def test_who_begins_misses_nothing_of_a_process_that_still_takes_itself_for_alone(
    monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """That one has counted who listens before the newcomer did, and hears of it later. Where its
    answer comes too late to be waited for, only what is not stored is missed."""
    one, other = End(Slow("one")), Newcomer(PostgresqlBroker("other"))
    counted, greeted = threading.Event(), threading.Event()

    def count(name: str) -> tuple[int, int]:
        found = other_listeners(name)
        if name == one.broker._name:
            counted.set()
            greeted.wait(10)
        return found

    async def publish() -> None:
        while not greeted.is_set() or len(other.got) < 100:
            other.head += 1
            one.broker.announce(change(other.head))
            one.broker.announce(Ephemeral("c", other.head, [EVENT.frame]))
            await asyncio.sleep(0.002)
            if one.broker._greeted:
                greeted.set()

    async with running(one):
        await one.until(lambda: one.broker._alone)
        monkeypatch.setattr(postgresql_broker, "other_listeners", count)
        looking = asyncio.create_task(one.broker._look_around())
        assert await asyncio.to_thread(counted.wait, 10)
        if late:
            one.broker.seconds = 1.0
            monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 0.5)
        publishing = asyncio.create_task(publish())
        async with running(other):
            await other.join("c")
            since = other.head
            await asyncio.gather(looking, publishing)
            one.broker.announce(change(0))
            await other.until(lambda: shown(other.got[-1]) == shown(change(0)))
    due = range(since + 1, other.head + 1)
    stored = {item.number for item in other.got if isinstance(item, Change)}
    assert [number for number in due if number not in stored and number > other.looked] == []
    passing = {item.previous for item in other.got if isinstance(item, Ephemeral)}
    assert late or [number for number in due if number not in passing] == []


async def test_where_listen_is_silent_it_polls_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    works = postgresql_broker.NOTIFY
    monkeypatch.setattr(postgresql_broker, "NOTIFY", "SELECT {}::text, {}::text")
    monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 0.2)
    monkeypatch.setattr(postgresql_broker, "SILENT_RETRY_SECONDS", 0.1)
    one = process("one")
    try:
        await one.start()
        assert one.broker.status is BrokerStatus.POLLING
        await one.until(lambda: one.checks > 5)
        assert caplog.messages.count(postgresql_broker.SILENT) == 1
        monkeypatch.setattr(postgresql_broker, "NOTIFY", works)
        await one.until(lambda: one.connected)
    finally:
        await one.broker.stop()


@pytest.mark.parametrize("payload", ["", "x 1/1 [2]", "x 1/1 {", "x 1/1 [2,[]]", "x 2/2 [1,[]]"])
async def test_what_cannot_be_read_makes_it_look_into_the_database(
    outsider: psycopg.Connection, payload: str
) -> None:
    one = process("one")
    async with running(one):
        before = one.checks
        outsider.execute("SELECT pg_notify(%s, %s)", [notified(), payload])
        if payload != "x 2/2 [1,[]]":
            await one.until(lambda: one.checks > before)
        assert one.connected


async def test_a_listener_that_stands_still_is_ended_when_the_queue_fills(
    outsider: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, postgres_database: str
) -> None:
    monkeypatch.setattr(postgresql_broker, "QUEUE_USAGE", -1)
    name = "chat listener stuck"
    with psycopg.connect(postgres_database, autocommit=True, application_name=name) as stuck:
        stuck.execute("LISTEN flood")
        for _ in range(100):
            outsider.execute(
                "SELECT pg_notify('flood', n || repeat('x', 7900)) FROM generate_series(1, 200) n"
            )
            if await in_thread(lambda: other_listeners("chat listener one")) == (1, 1):
                return
    raise AssertionError("it was not ended")

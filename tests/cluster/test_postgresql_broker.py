"""The link between processes through PostgreSQL alone, two of them in one."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from chat.cluster import postgresql_broker
from chat.cluster.postgresql_broker import Joiner, PostgresqlBroker, announce_from_outside, notified
from chat.cluster.postgresql_session import Session
from chat.fanout.announcements import Change, Ephemeral
from chat.fanout.broker import BrokerStatus
from tests.cluster.end import EVENT, LIMIT_SECONDS, End, change, running, shown
from tests.support.configuring import Setter
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
    counted, greeted = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(postgresql_broker, "LOOK_SECONDS", 0.05)
    count_others = one.broker._count_others

    async def count(session: Session) -> list[int]:
        found = await count_others(session)
        counted.set()
        await greeted.wait()
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
        monkeypatch.setattr(one.broker, "_count_others", count)
        async with asyncio.timeout(LIMIT_SECONDS):
            await counted.wait()
        if late:
            one.broker.seconds = 1.0
            monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 0.5)
        publishing = asyncio.create_task(publish())
        async with running(other):
            await other.join("c")
            since = other.head
            await publishing
            one.broker.announce(change(0))
            await other.until(lambda: shown(other.got[-1]) == shown(change(0)))
    due = range(since + 1, other.head + 1)
    stored = {item.number for item in other.got if isinstance(item, Change)}
    assert [number for number in due if number not in stored and number > other.looked] == []
    passing = {item.previous for item in other.got if isinstance(item, Ephemeral)}
    assert late or [number for number in due if number not in passing] == []


async def test_a_direct_connection_that_is_slow_is_not_taken_for_a_poolers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    works = postgresql_broker.NOTIFY
    monkeypatch.setattr(postgresql_broker, "NOTIFY", "SELECT {}::text, {}::text")
    monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 0.2)
    one = process("one")
    try:
        await one.start()
        assert one.broker.status is BrokerStatus.DISCONNECTED
        await one.until(lambda: "Other processes are not heard" in caplog.text)
        monkeypatch.setattr(postgresql_broker, "NOTIFY", works)
        monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 2)
        await one.until(lambda: one.connected)
        assert postgresql_broker.SILENT not in caplog.messages
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


def test_a_message_in_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_broker, "MAX_MESSAGE_BYTES", 100)
    joiner = Joiner()
    for number in range(1, 1000):
        assert joiner.add(b"x %d/1000 [[[[[[[" % number) is None
        assert len(joiner._message) <= 100
    assert joiner.add(b'x 1/1 [1,["",[]]]')


async def test_a_listener_that_stands_still_is_ended_when_the_queue_fills(
    outsider: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    postgres_database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(postgresql_broker, "QUEUE_USAGE", -1)
    monkeypatch.setattr(postgresql_broker, "LOOK_SECONDS", 0.05)
    name, one = "chat listener stuck", process("one")
    flood = "SELECT pg_notify('flood', n || repeat('x', 7900)) FROM generate_series(1, 200) n"
    with psycopg.connect(postgres_database, autocommit=True, application_name=name) as stuck:
        stuck.execute("LISTEN flood")
        async with running(one):
            for _ in range(100):
                await in_thread(lambda: outsider.execute(flood))
                if "1 sessions were ended" in caplog.text:
                    return
    raise AssertionError("it was not ended")


async def test_who_is_not_alone_any_more_makes_all_look_into_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has heard no hello finds the other by counting; who hears one looks, too."""
    monkeypatch.setattr(postgresql_broker, "LOOK_SECONDS", 0.05)
    one, other = process("one"), process("other")
    greet = one.broker._greet
    monkeypatch.setattr(one.broker, "_greet", lambda node_id: None)
    monkeypatch.setattr(postgresql_broker, "MEET_SECONDS", 0.5)
    async with running(one):
        await one.until(lambda: one.broker._alone)
        async with running(other):
            await one.until(lambda: not one.broker._alone)
            checks = other.checks
            one.broker._alone = True
            await other.until(lambda: other.checks > checks)
            checks = one.checks
            greet("other")
            assert one.checks > checks


async def test_a_task_notifies_over_broker_url_again_after_its_connection_was_closed(
    outsider: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    postgres_database: str,
    set_chat: Setter,
) -> None:
    set_chat(BROKER_URL=postgres_database)
    monkeypatch.setattr(postgresql_broker, "_pools", {})
    one = process("one")
    async with running(one):
        for number in range(3):
            await in_thread(lambda number=number: announce_from_outside([change(number)]))
            await one.until(lambda number=number: len(one.got) == number + 1)
            [pool] = postgresql_broker._pools.values()
            outsider.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'chat task'"
            )
        await in_thread(pool.close)


def test_a_malformed_address_is_not_shown(
    set_chat: Setter, caplog: pytest.LogCaptureFixture
) -> None:
    set_chat(BROKER_URL="postgres://chat:hunter2%zz@host/chat")
    announce_from_outside([change(1)])
    assert "BROKER_URL is malformed" in caplog.text
    assert "hunter2" not in caplog.text

"""The link between processes through PostgreSQL alone, two of them in one."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from chat.cluster import postgresql_broker
from chat.cluster.postgresql_broker import PostgresqlBroker, notified, other_listeners
from chat.fanout.announcements import Change, Ephemeral
from chat.fanout.broker import BrokerStatus
from chat.protocol.events import encoded
from tests.cluster.end import EVENT, End, change, running, shown
from tests.support.databases import in_thread

pytestmark = pytest.mark.usefixtures("postgres_default")

LARGE = encoded(b'{"data":"%b"}' % ("\\❤\n".encode() * 20_000))


def process(name: str, **handlers: Any) -> End[PostgresqlBroker]:
    return End(PostgresqlBroker(name), **handlers)


@pytest.fixture
def outsider(postgres_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_database, autocommit=True) as session:
        yield session


async def test_what_is_announced_reaches_the_others_as_it_was() -> None:
    """Equal ones too, and what is larger than a notification."""
    one, other = process("one"), process("other")
    async with running(one, other):
        sent = [
            change(7, origin="x", echo=True),
            Ephemeral("c", 7, [EVENT.frame], "x", False),
            Ephemeral("c", 7, [EVENT.frame], "x", False),
            Change("❤", 7, 8, LARGE, key="k"),
            change(9),
        ]
        for item in sent:
            one.broker.announce(item)
        await other.until(lambda: len(other.got) == len(sent))
    assert [shown(item) for item in other.got] == [shown(item) for item in sent]
    assert one.got == []


async def test_who_has_started_gets_the_very_next() -> None:
    """Also of a process that was alone."""
    one, other = process("one"), process("other")
    async with running(one):
        await one.until(lambda: one.broker._alone)
        async with running(other):
            one.broker.announce(Ephemeral("c", 0, [EVENT.frame]))
            await other.until(lambda: len(other.got) == 1)


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


async def test_notifications_call_handlers_behind_what_was_announced_before() -> None:
    told: list[Any] = []
    one, other = process("one"), process("other")
    other._handlers["told"] = lambda *what: told.append((*what, len(other.got)))
    async with running(one, other):
        one.broker.announce(change(1))
        one.broker.notify("told", "id", ["c"], None)
        await other.until(lambda: told)
    assert told == [("id", ["c"], None, 1)]


async def test_a_session_that_is_cut_begins_anew_with_a_head_check() -> None:
    one, other = process("one"), process("other")
    async with running(one, other):
        for number in range(3):
            before = other.checks
            await in_thread(end_sessions)
            await other.until(lambda before=before: other.connected and other.checks > before)
            await one.until(lambda: one.connected)
            one.broker.announce(change(number))
            await other.until(lambda number=number: shown(change(number)) in map(shown, other.got))


def end_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'chat listener %' OR application_name = 'chat sender'"
        )


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

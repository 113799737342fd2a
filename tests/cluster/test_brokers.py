"""The link between processes, two of them in one: what every broker promises."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from chat.cluster import messages
from chat.cluster.messages import EVERYBODY
from chat.cluster.postgresql_broker import PostgresqlBroker
from chat.cluster.redis_broker import RedisBroker
from chat.cluster.redis_layer import RedisLayer
from chat.counts import counts
from chat.fanout.announcements import Change, Ephemeral
from chat.protocol.events import encoded
from tests.cluster.end import EVENT, End, change, running, shown
from tests.support.databases import in_thread
from tests.support.servers import redis_url, start_redis

CHANGE = ("c", 0, "{}", None, False, 1, None)  # an entry's fields
LARGE = encoded(b'{"data":"%b"}' % ("\\❤\n".encode() * 20_000))  # more than a notification may have


@dataclass
class Between:
    """What carries announcements between processes, and can be cut."""

    broker: Callable[[str], RedisBroker | PostgresqlBroker]
    cut: Callable[[], Awaitable[object]]

    def process(self, name: str) -> End[Any]:
        return End(self.broker(name))


@pytest.fixture
def over_redis(tmp_path: Path) -> Iterator[Between]:
    with start_redis(tmp_path) as redis:

        async def cut() -> None:
            redis.stop()
            redis.start(lambda: True)

        hosts = [redis_url(redis)]
        yield Between(lambda name: RedisBroker(name, RedisLayer(hosts=hosts)), cut)


@pytest.fixture
def over_postgresql(postgres_default: None) -> Between:
    def end_sessions() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database()"
                " AND (starts_with(application_name, 'chat listener') OR"
                " application_name = 'chat sender')"
            )

    return Between(PostgresqlBroker, lambda: in_thread(end_sessions))


@pytest.fixture(params=["redis", "postgresql"])
def between(request: pytest.FixtureRequest) -> Between:
    between: Between = request.getfixturevalue(f"over_{request.param}")
    return between


@pytest.fixture
def dropped() -> Callable[[], Counter[str]]:
    """How many were dropped since, by reason."""
    before = counts.broker_dropped.copy()
    return lambda: counts.broker_dropped - before


async def test_what_is_announced_reaches_the_others_as_it_was(between: Between) -> None:
    """Equal ones too, and in a row; nothing comes back to its own process."""
    one, other = between.process("one"), between.process("other")
    sent = [
        change(7, origin="x", echo=True),
        Ephemeral("c", 7, [EVENT.frame], "x", False),
        Ephemeral("c", 7, [EVENT.frame], "x", False),
        Change("c", 7, 8, LARGE, key="k"),
        change(9),
        Ephemeral("c", 7, [EVENT.frame, encoded(b"{}").frame], "x", True),
    ]
    async with running(one, other):
        for process in (one, other):
            await process.join("c")
        for item in sent:
            one.broker.announce(item)
        other.broker.announce(change(10))
        await other.until(lambda: len(other.got) == len(sent))
        await one.until(lambda: one.got)
    assert [shown(item) for item in other.got] == [shown(item) for item in sent]
    assert [shown(item) for item in one.got] == [shown(change(10))]


async def test_whoever_has_joined_gets_the_very_next(between: Between) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        for number in range(200):
            await other.join(f"c{number}")
            one.broker.announce(change(1, f"c{number}"))
        await other.until(lambda: len(other.got) == 200)


async def test_notifications_call_handlers_behind_what_was_announced_before(
    between: Between,
) -> None:
    told: list[Any] = []
    one, other = between.process("one"), between.process("other")
    other._handlers["told"] = lambda *what: told.append((*what, len(other.got)))
    async with running(one, other):
        await other.join("c")
        one.broker.notify("told", 1)
        one.broker.announce(change(1))
        one.broker.notify("told", "id", ["c"], None)
        await other.until(lambda: len(told) == 2)
    assert told[1] == ("id", ["c"], None, 1)


async def test_what_cannot_be_read_is_passed_over(between: Between) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        await other.join("c")
        one.broker.notify("from-the-future", 1)
        one.broker.notify("change", "too", "few")
        one.broker.announce(change(1))
        await other.until(lambda: len(other.got) == 1)


async def test_a_newer_version_makes_it_look_into_the_database(between: Between) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        before = other.checks
        newer = messages.message(b"[]", "newer") | {"v": messages.VERSION + 1}
        await one.broker._announcer._send([(EVERYBODY, newer)])
        await other.until(lambda: other.checks > before)
    assert other.got == []


async def test_what_has_not_the_sites_checksum_is_dropped(
    between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        await other.join("c")
        body = one.broker._announcer._encode([["change", *CHANGE]])
        genuine = messages.message(body, "somebody")
        entries = [["change", "d", *CHANGE[1:]]]
        forged: list[Any] = [
            {**genuine, "checksum": "0" * 32},
            {**genuine, "checksum": ""},
            {**genuine, "body": one.broker._announcer._encode(entries)},
        ]
        before = other.checks
        await one.broker._announcer._send([(EVERYBODY, each) for each in forged])
        await one.broker._announcer._send([(EVERYBODY, genuine)])
        await other.until(lambda: other.got)
        await other.until(lambda: other.checks > before)
        assert [item.channel for item in other.got] == ["c"]
    assert "3 messages were dropped" in caplog.text


async def test_what_comes_and_is_dropped_is_counted_by_reason(
    between: Between, dropped: Callable[[], Counter[str]]
) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        encode, send = one.broker._announcer._encode, one.broker._announcer._send
        genuine = messages.message(encode([["new kind"], ["change"]]), "somebody")
        wrong: list[Any] = [
            {**genuine, "v": messages.VERSION + 1},
            {**genuine, "checksum": "0" * 32},
            messages.message(b"{", "somebody"),
        ]
        await send([(EVERYBODY, each) for each in [genuine, *wrong]])
        each = {"version": 2, "checksum": 1, "malformed": 2}
        await other.until(lambda: dropped() == {name: 2 * count for name, count in each.items()})


async def test_a_link_that_was_cut_begins_anew_with_a_head_check(between: Between) -> None:
    one, other = between.process("one"), between.process("other")

    def arrives(number: int) -> bool:
        one.broker.announce(change(number))  # nobody waits
        return shown(change(number)) in map(shown, other.got)

    async with running(one, other):
        await other.join("c")
        for number in (1, 2):
            before = other.checks
            await between.cut()
            await other.until(lambda before=before: other.checks > before)
            await other.until(lambda number=number: arrives(number))
            for process in (one, other):
                await process.until(lambda process=process: process.connected)


async def test_what_was_announced_leaves_before_it_stops(between: Between) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(other):
        await other.join("c")
        async with running(one):
            one.broker.announce(change(1))
        await other.until(lambda: len(other.got) == 1)


async def test_what_the_broker_does_not_take_is_counted(
    dropped: Callable[[], Counter[str]],
) -> None:
    tried = asyncio.Event()

    async def send(_: object) -> None:
        announcer.put(EVERYBODY, ["more"])
        tried.set()
        raise ConnectionError

    announcer = messages.Announcer("one", send, lambda _: b"", (ConnectionError,))
    for _ in range(3):
        announcer.put(EVERYBODY, ["change"])
    task = asyncio.create_task(announcer.run())
    await tried.wait()
    task.cancel()
    assert dropped() == {"unsent": 4}


async def test_what_waits_is_bounded_in_bytes(
    between: Between, monkeypatch: pytest.MonkeyPatch, dropped: Callable[[], Counter[str]]
) -> None:
    one, other = between.process("one"), between.process("other")
    async with running(one, other):
        monkeypatch.setattr(messages, "MAX_QUEUED_BYTES", 10 * change(1).size)
        monkeypatch.setattr(messages, "MAX_SENT_BYTES", 1)
        await other.join("c")
        before = other.checks
        for number in range(100):
            one.broker.announce(change(number))
        one.broker.announce(Ephemeral("c", 0, [EVENT.frame] * 10))
        assert dropped()["full"] >= 90
        await other.until(lambda: other.checks > before)  # they are asked to look
        await one.until(lambda: one.connected)
        one.broker.announce(change(100))
        await other.until(lambda: shown(other.got[-1]) == shown(change(100)))
    assert [item.previous for item in other.got] == [*range(-1, 9), 99]

"""The link between processes, two of them in one, over a Redis of the test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from chat.cluster import redis_broker
from chat.cluster.redis_broker import RedisBroker
from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import Announcement, Change, Ephemeral
from chat.fanout.hub import BrokerStatus, Hub
from chat.protocol.events import encoded
from chat.runtime import background
from chat.runtime.background import BackgroundTasks
from tests.support.servers import Program, redis_url, start_redis

LIMIT_SECONDS = 15
EVENT = encoded(b'{"event":"chat","data":"\xe2\x9d\xa4"}')


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Program]:
    program = start_redis(tmp_path)
    yield program
    if program.running:
        program.stop()


class Process:
    """One end: what it was told, and how often it looked at the heads of its channels. It stands
    in for the hub, too."""

    def __init__(self, name: str, redis: Program, **handlers: Any) -> None:
        self.got: list[Announcement] = []
        self.checks = 0
        self.listened: set[str] = set()
        self.has_subscribers = self.listened.__contains__
        self.channels = lambda: list(self.listened)
        self._news = asyncio.Event()
        self._handlers = handlers
        self.broker = RedisBroker(name, RedisLayer(hosts=[redis_url(redis)]))

    async def start(self) -> None:
        start = BackgroundTasks(lambda: None).start
        await self.broker.start(cast("Hub", self), self._check, self._handlers, start)

    @property
    def connected(self) -> bool:
        return self.broker.status is BrokerStatus.CONNECTED

    def deliver(self, item: Announcement) -> None:
        self.got.append(item)
        self._news.set()

    def _check(self) -> None:
        self.checks += 1
        self._news.set()

    async def join(self, channel: str) -> None:
        self.listened.add(channel)
        await self.broker.subscribe(channel)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.05)


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    try:
        for process in processes:
            await process.start()
            assert process.connected
        for process in processes:
            await process.until(lambda process=process: process.connected)
        yield
    finally:
        for process in processes:
            await process.broker.stop()


def change(number: int, channel: str = "c", **more: Any) -> Change:
    return Change(channel, number - 1, number, EVENT, **more)


def shown(item: Announcement) -> tuple[Any, ...]:
    where, sender = (item.channel, item.previous), (item.origin, item.echo)
    if isinstance(item, Change):
        return *where, item.number, item.event.payload, *sender, item.key
    return *where, *item.frames, *sender


async def test_what_is_announced_reaches_those_who_joined_as_it_was(redis: Program) -> None:
    one, other, third = (Process(name, redis) for name in ("one", "other", "third"))
    async with running(one, other, third):
        await other.join("c")
        await third.join("d")
        sent = [
            change(7, origin="x", echo=True),
            Ephemeral("c", 7, [EVENT.frame], "x", False),
            change(8, key="k"),
            Ephemeral("c", 8, [EVENT.frame]),
        ]
        for item in sent:
            one.broker.announce(item)
        one.broker.announce(change(1, "d"))
        await other.until(lambda: len(other.got) == 4)
        await third.until(lambda: len(third.got) == 1)
    assert [shown(item) for item in other.got] == [shown(item) for item in sent]
    assert [shown(item) for item in third.got] == [shown(change(1, "d"))]


async def test_messages_in_a_row_cross_as_each_would_alone(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    row = Ephemeral("c", 7, [EVENT.frame, encoded(b"{}").frame], "x", True)
    async with running(one, other):
        await other.join("c")
        one.broker.announce(row)
        await other.until(lambda: len(other.got) == 2)
    assert [shown(item) for item in other.got] == [
        ("c", 7, frame, "x", True) for frame in row.frames
    ]


async def test_nothing_comes_back_to_its_own_process(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await one.join("c")
        await other.join("c")
        one.broker.announce(change(1))
        other.broker.announce(change(2))
        await other.until(lambda: len(other.got) == 1)
        await one.until(lambda: len(one.got) == 1)
    assert [shown(item) for item in one.got] == [shown(change(2))]


async def test_whoever_has_joined_gets_the_very_next(redis: Program) -> None:
    """Joining returns once Redis has confirmed it."""
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        for number in range(200):
            await other.join(f"c{number}")
            one.broker.announce(change(1, f"c{number}"))
        await other.until(lambda: len(other.got) == 200)


async def test_two_join_a_channel_at_once_and_both_wait(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        for number in range(50):
            await asyncio.gather(*(other.join(f"c{number}") for _ in range(3)))
            one.broker.announce(change(1, f"c{number}"))
        await other.until(lambda: len(other.got) == 50)


async def test_who_joins_a_channel_that_is_being_left_gets_the_very_next(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_broker, "LINGER_SECONDS", 0)
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        for number in range(1, 20):
            await other.join("c")
            one.broker.announce(Ephemeral("c", 0, [EVENT.frame]))
            await other.until(lambda number=number: len(other.got) == number)
            other.listened.clear()
            other.broker.unsubscribe("c")
            for _ in range(2):
                await asyncio.sleep(0)
            assert "c" in other.broker._changing  # it is being left


async def test_who_joins_again_while_the_channel_is_left_since_it_was_joined(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left in the very turn in which it has been joined."""
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        broker, layer = other.broker, other.broker._layer
        add, discard, left = layer.group_add, layer.group_discard, asyncio.Event()

        async def join(group: str, own: str) -> None:
            await add(group, own)
            other.listened.clear()
            asyncio.get_running_loop().call_soon(broker._leave_unused, "c")
            asyncio.get_running_loop().call_soon(left.set)
            monkeypatch.setattr(layer, "group_add", add)

        async def leave(group: str, own: str) -> None:
            await asyncio.sleep(0.01)
            await discard(group, own)

        monkeypatch.setattr(layer, "group_add", join)
        monkeypatch.setattr(layer, "group_discard", leave)
        first = asyncio.create_task(other.join("c"))
        await left.wait()
        await other.join("c")
        await first
        await asyncio.sleep(0.02)
        one.broker.announce(Ephemeral("c", 0, [EVENT.frame]))
        await other.until(lambda: other.got)


@pytest.mark.parametrize("change_of", ["group_add", "group_discard"])
@pytest.mark.parametrize("error", [RuntimeError("a mistake"), None])
async def test_who_joins_hears_all_though_joining_or_leaving_failed(
    redis: Program, monkeypatch: pytest.MonkeyPatch, change_of: str, error: Exception | None
) -> None:
    """None: it was cancelled, since the connection began anew."""
    monkeypatch.setattr(redis_broker, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(redis_broker, "SEND_SECONDS", 0.2)
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        if change_of == "group_discard":
            await other.join("c")
            other.listened.clear()

        works = getattr(other.broker._layer, change_of)

        async def fail(group: str, own: str) -> None:
            if error is not None:
                raise error
            other.broker._lost.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(other.broker._layer, change_of, fail)
        other.broker._leave_unused("c")
        async with asyncio.timeout(5):
            await other.join("c")
        monkeypatch.setattr(other.broker._layer, change_of, works)
        await other.until(lambda: other.connected and "c" in other.broker._subscribed)
        one.broker.announce(Ephemeral("c", 0, [EVENT.frame]))
        await other.until(lambda: other.got)


async def test_nodes_tell_each_other(redis: Program) -> None:
    told: list[Any] = []
    one, other = Process("one", redis), Process("other", redis, umd=lambda *what: told.append(what))
    async with running(one, other):
        one.broker.notify("umd", "id", ["c"], None)
        await other.until(lambda: told)
    assert told == [("id", ["c"], None)]


async def test_what_others_are_told_comes_behind_what_was_announced_before(redis: Program) -> None:
    told: list[Any] = []
    one, other = Process("one", redis), Process("other", redis)
    other._handlers["told"] = lambda number: told.append((number, len(other.got)))
    async with running(one, other):
        await other.join("c")
        one.broker.notify("told", 1)
        one.broker.announce(change(1))
        one.broker.notify("told", 2)
        await other.until(lambda: len(told) == 2)
    assert told[1] == (2, 1)


async def test_what_cannot_be_read_is_passed_over(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await other.join("c")
        one.broker.notify("from-the-future", 1)
        one.broker._announcer.put(redis_broker.group_of("c"), [["change", "too", "few"]])
        one.broker.announce(change(1))
        await other.until(lambda: len(other.got) == 1)


async def test_a_newer_version_makes_it_look_into_the_database(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await other.join("c")
        await other.until(lambda: other.checks > 0)
        before = other.checks
        newer = redis_broker.message([["odd"]], "newer") | {"v": redis_broker.VERSION + 1}
        await one.broker._layer.group_send_many([(redis_broker.group_of("c"), newer)])
        await other.until(lambda: other.checks > before)
    assert other.got == []


async def test_it_comes_back_after_redis_was_away_and_everybody_looks(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await other.join("c")
        redis.stop()
        one.broker.announce(change(1))  # nobody waits
        await one.until(lambda: not one.connected)
        before = other.checks
        redis.start(lambda: True)
        await other.until(lambda: other.connected and other.checks > before)
        await one.until(lambda: one.connected)
        one.broker.announce(change(2))
        await other.until(lambda: any(isinstance(i, Change) and i.number == 2 for i in other.got))


async def test_it_begins_without_redis_and_links_when_it_is_there(redis: Program) -> None:
    redis.stop()
    one = Process("one", redis)
    await one.start()
    async with asyncio.timeout(5):
        await one.join("c")  # at once: heads are looked at meanwhile
    assert not one.connected
    redis.start(lambda: True)
    await one.until(lambda: one.connected)
    other = Process("other", redis)
    async with running(other):
        other.broker.announce(change(1))
        await one.until(lambda: len(one.got) == 1)
    await one.broker.stop()


async def test_what_was_announced_leaves_before_it_stops(redis: Program) -> None:
    one, other = Process("one", redis), Process("other", redis)
    async with running(other):
        await other.join("c")
        async with running(one):
            one.broker.announce(change(1))
        await other.until(lambda: len(other.got) == 1)


async def test_a_link_that_goes_deaf_begins_anew(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_broker, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(redis_broker, "SEND_SECONDS", 0.2)
    one = Process("one", redis)
    async with running(one):
        before = one.checks
        with redis.paused():
            await one.until(lambda: not one.connected)
        await one.until(lambda: one.connected and one.checks > before)


async def test_what_waits_is_bounded_in_bytes(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_broker, "MAX_QUEUED_BYTES", 10 * change(1).size)
    monkeypatch.setattr(redis_broker, "MAX_SENT_BYTES", 1)
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await other.join("c")
        before = other.checks
        for number in range(100):
            one.broker.announce(change(number))
        large = Ephemeral("c", 0, [EVENT.frame] * 10)
        one.broker.announce(large)
        await other.until(lambda: other.checks > before)  # they are asked to look
        await one.until(lambda: one.connected)
        one.broker.announce(change(100))
        await other.until(lambda: shown(other.got[-1]) == shown(change(100)))
    assert [item.previous for item in other.got] == [*range(-1, 9), 99]


@pytest.mark.parametrize("what", ["announcer", "link"])
async def test_it_goes_on_after_any_exception(
    redis: Program, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0)
    one, other = Process("one", redis), Process("other", redis)
    async with running(one, other):
        await other.join("c")
        layer = (one if what == "announcer" else other).broker._layer
        name = "serialize" if what == "announcer" else "deserialize"
        works, before = getattr(layer.channel_layer, name), other.checks

        def fail(message: Any) -> Any:
            monkeypatch.setattr(layer.channel_layer, name, works)
            raise RuntimeError("a mistake")

        monkeypatch.setattr(layer.channel_layer, name, fail)
        one.broker.announce(change(1))
        await other.until(lambda: other.checks > before and one.connected and other.connected)
        one.broker.announce(change(2))
        await other.until(lambda: other.got)
    assert [shown(item) for item in other.got] == [shown(change(2))]

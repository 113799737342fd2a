"""The link between processes, two of them in one, over a Redis of the test's own."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.cluster import messages, redis_broker
from chat.cluster.redis_broker import RedisBroker, announce_from_outside
from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import Ephemeral
from chat.runtime import background
from tests.cluster.end import EVENT, End, change, running, shown
from tests.support.servers import Program, redis_url, start_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Program]:
    program = start_redis(tmp_path)
    yield program
    if program.running:
        program.stop()


class Process(End[RedisBroker]):
    def __init__(self, name: str, redis: Program, **handlers: Any) -> None:
        super().__init__(RedisBroker(name, RedisLayer(hosts=[redis_url(redis)])), **handlers)


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
    monkeypatch.setattr(messages, "SEND_SECONDS", 0.2)
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


async def test_a_link_that_goes_deaf_begins_anew(
    redis: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(messages, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(messages, "SEND_SECONDS", 0.2)
    one = Process("one", redis)
    async with running(one):
        before = one.checks
        with redis.paused():
            await one.until(lambda: not one.connected)
            await one.until(lambda: "other processes: no answer within 0.2 s" in caplog.text)
        await one.until(lambda: one.connected and one.checks > before)


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


async def test_the_first_announcement_of_a_task_after_redis_was_restarted_arrives(
    redis: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its threads at once, which begin at once."""
    layer = RedisLayer(hosts=[redis_url(redis)])
    monkeypatch.setattr(redis_broker, "channel_layer", lambda: layer)
    monkeypatch.setattr(redis_broker, "_senders", {})
    server = Process("server", redis)

    async def publish(*numbers: int) -> None:
        before = len(server.got)
        tasks = [[change(number)] for number in numbers]
        await asyncio.gather(*(asyncio.to_thread(announce_from_outside, each) for each in tasks))
        await server.until(lambda: len(server.got) == before + len(numbers))

    async with running(server):
        await server.join("c")
        await publish(*range(10))
        checks = server.checks
        redis.stop()
        redis.start(lambda: True)
        await server.until(lambda: server.checks > checks and server.connected)
        await server.join("c")
        await publish(*range(10, 20))
    assert sorted(item.previous for item in server.got) == list(range(-1, 19))
    assert [thread.name for thread in threading.enumerate()].count("announcer") == 1

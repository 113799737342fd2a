"""Redis stopped and started, connections to it cut, its output buffer overrun (P2, P3).

Every cycle ends in silence, half of them before the link is whole again, so that what was lost at
the tail of a channel must be found too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import redis as redis_client

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, until, whole_history

CYCLES = 4
LIMIT_SECONDS = 30
LARGE = "x" * 30_000  # more than Redis keeps outside the limit
LARGE_CHANNEL = "large"
USUAL_LIMIT = "pubsub 33554432 8388608 60"
SLOW_SECONDS = 0.02  # each way, in every third cycle: what is cut then takes longer to mend


@dataclass
class Load:
    """Who publishes and who records, in both processes; `large` counts the large messages."""

    site: Site
    fault: Fault
    channel: str
    readers: list[Connection]
    writers: list[Publisher]
    large: int = 0

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.acknowledged) for writer in self.writers)

    def complete(self) -> bool:
        return all(
            len(reader.ids(self.channel)) >= self.acknowledged
            and len(reader.ids(LARGE_CHANNEL, "quiet")) >= self.large
            for reader in self.readers
        )


@asynccontextmanager
async def stopped(load: Load) -> AsyncIterator[None]:
    load.site.redis.kill()
    try:
        yield
    finally:
        await asyncio.to_thread(load.site.start_redis)


@asynccontextmanager
async def cut(load: Load) -> AsyncIterator[None]:
    for kind in load.fault.random.choice([["pubsub"], ["normal"], ["pubsub", "normal"]]):
        with load.site.ask_redis() as redis:
            redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    yield


@asynccontextmanager
async def overrun(load: Load) -> AsyncIterator[None]:
    """With the smallest of limits one large message is too much, and is itself lost."""
    with load.site.ask_redis() as redis:
        redis.config_set("client-output-buffer-limit", "pubsub 1 0 0")
        before = disconnections(redis)
        sender = await Connection.open(load.site.one, "large")
        try:
            sender.publish(LARGE_CHANNEL, LARGE, "quiet")
            load.large += 1
            await until(lambda: disconnections(redis) > before, "Redis has cut a connection")
            yield
        finally:
            redis.config_set("client-output-buffer-limit", USUAL_LIMIT)
            sender.close()


def disconnections(redis: redis_client.Redis) -> int:
    return int(redis.info("stats")["client_output_buffer_limit_disconnections"])


BREAKS: list[Callable[[Load], AbstractAsyncContextManager[None]]] = [stopped, cut, overrun, cut]


async def test_redis(site: Site, fault: Fault, channel: str) -> None:
    readers = [await Connection.open(site.servers[n % 2], f"reader{n}") for n in range(4)]
    for reader in readers:
        await reader.subscribe(channel)
        await reader.subscribe(LARGE_CHANNEL)
    writers = [
        await Publisher.open(site.servers[n % 2], f"writer{n}", channel, 5) for n in range(2)
    ]
    load = Load(site, fault, channel, readers, writers)
    since = (await whole_history(site.one, LARGE_CHANNEL))[-1:]
    for number in range(fault.times(CYCLES)):
        await one_cycle(load, BREAKS[number % len(BREAKS)], slow=number % 3 == 0)
        fault.count("cycles")
        fault.count(BREAKS[number % len(BREAKS)].__name__)
    fault.count("acknowledged", load.acknowledged)
    await check(load, channel, "chat", [])
    await check(load, LARGE_CHANNEL, "quiet", since)
    for connection in [*readers, *(writer.connection for writer in writers)]:
        connection.close()


async def check(load: Load, channel: str, event: str, since: list[str]) -> None:
    """Each reader was there before the first of these messages, and is there after the last."""
    history = [id for id in await whole_history(load.site.other, channel) if [id] > since]
    for reader in load.readers:
        assert reader.open_
        ends = {"first": history[0], "last": history[-1]} if history else {}
        live = reader.ids(channel, event)
        load.fault.none_of(checks.connection_problems(live, history, **ends))


async def one_cycle(
    load: Load, broken: Callable[[Load], AbstractAsyncContextManager[None]], *, slow: bool
) -> None:
    draw = load.fault.random
    load.site.link.delay = SLOW_SECONDS if slow else 0.0
    writing = [asyncio.create_task(writer.publish_for_ever(0.01)) for writer in load.writers]
    await asyncio.sleep(draw.uniform(0.0, 0.2))
    async with broken(load):
        await asyncio.sleep(draw.uniform(0.0, 0.5))
        if draw.random() < 0.5:
            await silence(load, writing)
    await asyncio.sleep(draw.uniform(0.0, 0.05))
    await silence(load, writing)
    silent_at = time.monotonic()
    try:
        await until(load.complete, "every reader has every message", LIMIT_SECONDS)
    finally:
        load.site.link.delay = 0.0
        seconds = time.monotonic() - silent_at
        load.fault.measure("seconds until the last had all", seconds)


async def silence(load: Load, writing: list[asyncio.Task[None]]) -> None:
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await until(lambda: not any(w.waiting for w in load.writers), "all is acknowledged")

"""Redis stopped and started, connections to it cut, its output buffer overrun (P2, P3).

Every cycle ends in silence, so that what was lost at the tail must be found too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.faults import checks
from tests.faults.conftest import Fault, Site
from tests.faults.recording import Connection, Publisher, until, whole_history

CYCLES = 3
LIMIT_SECONDS = 30
LARGE = "x" * 30_000  # more than Redis keeps outside the limit


async def stop(site: Site, fault: Fault) -> None:
    site.redis.kill()
    await asyncio.sleep(fault.random.uniform(0.0, 1.0))
    await asyncio.to_thread(site.start_redis)


async def cut(site: Site, fault: Fault) -> None:
    for kind in fault.random.choice([["pubsub"], ["normal"], ["pubsub", "normal"]]):
        with site.ask_redis() as redis:
            redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


async def overrun(site: Site, fault: Fault) -> None:
    """With the smallest of limits one large message is too much, and is itself lost."""
    with site.ask_redis() as redis:
        redis.config_set("client-output-buffer-limit", "pubsub 1 0 0")
        before = disconnections(redis)
        sender = await Connection.open(site.one, "large")
        for _ in range(3):
            sender.publish("large", LARGE, "quiet")
        await until(lambda: disconnections(redis) > before, "Redis has cut a connection")
        redis.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        sender.close()


def disconnections(redis) -> int:  # type: ignore[no-untyped-def]
    return int(redis.info("stats")["client_output_buffer_limit_disconnections"])


BREAKS: list[Callable[[Site, Fault], Awaitable[None]]] = [stop, cut, overrun]


async def test_redis(site: Site, fault: Fault, channel: str) -> None:
    readers = [await Connection.open(site.servers[n % 2], f"reader{n}") for n in range(4)]
    for reader in readers:
        await reader.subscribe(channel)
        await reader.subscribe("large")
    writers = [
        await Publisher.open(site.servers[n % 2], f"writer{n}", channel, 5) for n in range(2)
    ]
    cycles = fault.times(CYCLES)
    for number in range(cycles):
        await one_cycle(site, fault, BREAKS[number % len(BREAKS)], readers, writers, channel)
        fault.count("cycles")
        fault.count(BREAKS[number % len(BREAKS)].__name__)
    for name in (channel, "large"):
        history = await whole_history(site.other, name)
        since = min(
            (id for reader in readers for id in reader.ids(name, event_of(name))), default=""
        )
        history = [id for id in history if id >= since]
        for reader in readers:
            assert reader.open_
            live = reader.ids(name, event_of(name))
            fault.none_of(checks.connection_problems(live, history, last=history[-1]))
    for connection in [*readers, *(writer.connection for writer in writers)]:
        connection.close()


def event_of(name: str) -> str:
    return "quiet" if name == "large" else "chat"


async def one_cycle(
    site: Site,
    fault: Fault,
    break_: Callable[[Site, Fault], Awaitable[None]],
    readers: list[Connection],
    writers: list[Publisher],
    channel: str,
) -> None:
    writing = [asyncio.create_task(writer.publish_for_ever(0.01)) for writer in writers]
    await asyncio.sleep(fault.random.uniform(0.0, 0.3))
    await break_(site, fault)
    await asyncio.sleep(fault.random.uniform(0.0, 0.05))
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await until(lambda: not any(writer.waiting for writer in writers), "all is acknowledged")
    silent_at = time.monotonic()
    acknowledged = {id for writer in writers for id in writer.acknowledged}
    fault.numbers["acknowledged"] = len(acknowledged)

    def all_have_all() -> bool:
        return all(len(acknowledged) <= len(reader.ids(channel)) for reader in readers)

    await until(all_have_all, "every reader has every message", LIMIT_SECONDS)
    fault.measure("seconds until the last had all", time.monotonic() - silent_at)

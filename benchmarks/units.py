"""`python -m benchmarks --units [RUNS]`: what one of each thing costs, in CPU time of the server.

Real servers over real sockets; CPU time is of /proc, so that what else the machine does matters
little. Prints a table and writes benchmarks/measured.json, which `--simulate` and docs/scaling.md
take their figures from. Ten minutes with 3 runs of everything, by turns; medians.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks import cpu
from benchmarks.load import Room, close, open_many, open_room
from benchmarks.points import MEASURED, POINTS, Point, write
from tests.servers import (
    Postgres,
    Program,
    Server,
    keys_of,
    redis_url,
    start_postgres,
    start_redis,
    start_server,
)

WARM_SECONDS: Final = 0.5
SECONDS: Final = 2.0
HANDSHAKES: Final = 1000
IDLE: Final = 2000
IDLE_SECONDS: Final = 20
REST_SECONDS: Final = 5
PUBLISHED: Final = 20_000
NO_LIMIT: Final = {"CLIENT_FRAMES_PER_SECOND": "0"}


@dataclass
class Site:
    """What is measured: a process on SQLite, and two on PostgreSQL that Redis links."""

    alone: Server
    one: Server
    other: Server
    postgres: Postgres
    redis: Program

    def programs(self, database: str) -> dict[str, list[int]]:
        """Whose CPU time is measured: name -> process ids."""
        if database == "sqlite":
            return {"server": [self.alone.pid]}
        return {
            "server": [self.one.pid],
            "other": [self.other.pid],
            "redis": [self.redis.pid],
            "postgres": [self.postgres.pid],
        }


def main(runs: int = 3) -> None:
    taken: dict[str, list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-units-") as directory,
        _site(Path(directory)) as site,
    ):
        for run in range(1, runs + 1):
            print(f"run {run} of {runs}", flush=True)
            for name, costs in asyncio.run(_measure_all(site)).items():
                taken.setdefault(name, []).append(costs)
            medians = _medians(taken)
            write(medians, datetime.now(UTC).date().isoformat(), run)
    for name, costs in medians.items():
        print(f"{name:<44}{'  '.join(f'{key} {cost:,.1f}' for key, cost in costs.items())}")
    print(f"microseconds of CPU a message, unless its name says otherwise; written to {MEASURED}")


def _medians(taken: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        name: {key: round(median(cost[key] for cost in costs), 2) for key in costs[0]}
        for name, costs in taken.items()
    }


@contextlib.contextmanager
def _site(directory: Path) -> Iterator[Site]:
    with start_postgres(directory) as postgres, start_redis(directory) as redis:
        env = {"DATABASE_URL": postgres.database(), "REDIS_URL": redis_url(redis), **NO_LIMIT}
        with (
            start_server("uvicorn", directory, **NO_LIMIT) as alone,
            start_server("uvicorn", directory, **env) as one,
            start_server("uvicorn", directory, **env, **keys_of(one)) as other,
        ):
            yield Site(alone, one, other, postgres, redis)


async def _measure_all(site: Site) -> dict[str, dict[str, float]]:
    measured = {}
    rests = {database: await _rest(site.programs(database)) for database in ("sqlite", "postgres")}
    for point in POINTS:
        measured[point.name] = await _measure(site, point, rests[point.database])
    for name, server in {"SQLite": site.alone, "PostgreSQL": site.one}.items():
        for what, cost in (await _connections(server)).items():
            measured[f"{what}, {name}"] = {"server": cost}
    measured["an idle connection, each second"] = await _idle()
    measured["an idle process, each second"] = rests["postgres"]
    measured["PUBLISH in Redis"] = await _publishing(site.redis)
    return measured


async def _measure(site: Site, point: Point, rest: dict[str, float]) -> dict[str, float]:
    async with _rooms(site, point) as rooms:
        programs = site.programs(point.database)
        await _publish(rooms, point.chunk, WARM_SECONDS)
        before = {name: cpu.used(pids) for name, pids in programs.items()}
        sent, began = sum(room.sent for room in rooms), time.monotonic()
        await _publish(rooms, point.chunk, SECONDS)
        sent, took = sum(room.sent for room in rooms) - sent, time.monotonic() - began
        used = {name: cpu.used(pids) - before[name] for name, pids in programs.items()}
    print(f"{point.name:<44}{sent / took:>10,.0f} messages/s", flush=True)
    return {name: (used[name] * 1e6 - rest[name] * took) / sent for name in programs}


async def _rest(programs: dict[str, list[int]]) -> dict[str, float]:
    """Microseconds a second that each uses when nothing is asked of it."""
    before = {name: cpu.used(pids) for name, pids in programs.items()}
    await asyncio.sleep(REST_SECONDS)
    return {
        name: (cpu.used(pids) - before[name]) / REST_SECONDS * 1e6
        for name, pids in programs.items()
    }


@contextlib.asynccontextmanager
async def _rooms(site: Site, point: Point) -> AsyncIterator[list[Room]]:
    publishing = site.alone if point.database == "sqlite" else site.one
    receiving = site.other if point.across else publishing
    event = "chat" if point.stored else "typing"
    rooms = [
        await open_room(publishing, receiving, point.receivers, event) for _ in range(point.rooms)
    ]
    try:
        yield rooms
    finally:
        for room in rooms:
            room.close()
        await asyncio.sleep(1)  # their rows are removed meanwhile


async def _publish(rooms: list[Room], chunk: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    await asyncio.gather(*(room.publish_until(end, chunk) for room in rooms))


async def _connections(server: Server) -> dict[str, float]:
    """Opening, subscribing and closing, each a thousand times, 50 at once."""
    begin = cpu.used([server.pid])
    opened = await open_many(server, HANDSHAKES)
    connected = cpu.used([server.pid])
    frame = {"event": "hotsock.subscribe", "channel": "units"}
    for start in range(0, HANDSHAKES, 50):
        await asyncio.gather(*(each.ask(frame) for each in opened[start : start + 50]))
    subscribed = cpu.used([server.pid])
    close(opened)
    await asyncio.sleep(4)
    closed = cpu.used([server.pid])
    spans = {
        "a handshake": connected - begin,
        "a subscription": subscribed - connected,
        "an end": closed - subscribed,
    }
    return {what: seconds / HANDSHAKES * 1e6 for what, seconds in spans.items()}


async def _idle() -> dict[str, float]:
    """Of connections that answer pings and do nothing: CPU time, and memory that was not there
    before, in a fresh process."""
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-idle-") as directory,
        start_server("uvicorn", Path(directory)) as server,
    ):
        close(await open_many(server, 50))  # what is loaded with the first
        await asyncio.sleep(1)
        memory, rest = cpu.resident([server.pid]), await _rest({"server": [server.pid]})
        opened = await open_many(server, IDLE)
        await asyncio.sleep(2)
        kib = (cpu.resident([server.pid]) - memory) / IDLE / 1024
        before = cpu.used([server.pid])
        await asyncio.sleep(IDLE_SECONDS)
        used = (cpu.used([server.pid]) - before) / IDLE_SECONDS * 1e6 - rest["server"]
        close(opened)
    return {"server": used / IDLE, "KiB": kib}


async def _publishing(redis: Program) -> dict[str, float]:
    """Redis alone: 20,000 messages of a frame's size, to 1 and to 11 subscribed connections."""
    costs = {}
    for subscribers in (1, 11):
        clients = [Redis.from_url(redis_url(redis)).pubsub() for _ in range(subscribers)]
        for client in clients:
            await client.subscribe("units")
        reading = [asyncio.create_task(_read(client)) for client in clients]
        before = cpu.used([redis.pid])
        publisher = Redis.from_url(redis_url(redis))
        for _ in range(PUBLISHED // 10):
            pipeline = publisher.pipeline(transaction=False)
            for _ in range(10):
                pipeline.publish("units", b"x" * 250)
            await pipeline.execute()
        costs[subscribers] = (cpu.used([redis.pid]) - before) / PUBLISHED * 1e6
        for task, client in zip(reading, clients, strict=True):
            task.cancel()
            await client.aclose()
        await publisher.aclose()
    return {"one subscriber": costs[1], "each more": (costs[11] - costs[1]) / 10}


async def _read(client: Any) -> None:
    async for _ in client.listen():
        pass

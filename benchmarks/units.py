"""`python -m benchmarks --units [RUNS]`: what one of each thing costs, in CPU time of the server.

Real servers over real sockets, and the generator of `make bench`; CPU time is of /proc. Writes
benchmarks/measured.json, which `--simulate` and docs/scaling.md take their figures from. Some
eight minutes with 3 runs, by turns; medians.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from redis import Redis

from benchmarks import cpu, visits
from benchmarks.databases import Database, ask, database
from benchmarks.generator.connection import Connection, close_all
from benchmarks.generator.loop import measure
from benchmarks.generator.rooms import Room
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours
from benchmarks.points import DATABASES, MEASURED, POINTS, RESTING, Costs, Point, write
from benchmarks.scenarios.handshakes import settle
from benchmarks.scenarios.processes import Linked, ours
from benchmarks.scenarios.stored import store_room
from benchmarks.scenarios.talk import WARM_SECONDS, Talk
from tests.support.servers import redis_url, start_redis

SECONDS: Final = 1.0
STORED_SECONDS: Final = 2.0  # a disk takes now more, now less
REST_SECONDS: Final = 1.0
COMMITS: Final = "SELECT count(DISTINCT expires_at) FROM chat_message"
"""What one transaction stores for the same time expires in the same microsecond."""


@dataclass(frozen=True)
class Site:
    """What is measured: a process on each database, and two on PostgreSQL that Redis links."""

    alone: dict[str, tuple[Running, Database]]
    linked: Linked
    rests: Costs  # microseconds a second that a linked program uses when nothing is asked of it

    def programs(self, point: Point) -> dict[str, int]:
        """Whose CPU time is measured: name -> process id."""
        if point.across:
            return self.linked.programs
        running, disk = self.alone[point.place]
        return visits.named(running, disk)


def main(runs: int = 3) -> None:
    taken: dict[str, list[Costs]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-units-") as directory,
        cpu.pinned(cpu.GENERATOR),
        _site(Path(directory)) as site,
    ):
        taken[RESTING] = [site.rests]
        taken |= {name: [costs] for name, costs in visits.idle(Path(directory)).items()}
        for run in range(1, runs + 1):
            print(f"run {run} of {runs}", flush=True)
            for name, costs in _measure_all(site):
                taken.setdefault(name, []).append(costs)
                shown = "  ".join(f"{key} {cost:,.3f}" for key, cost in costs.items())
                print(f"{name:<60}{shown}", flush=True)
    write(_medians(taken), runs)
    print(f"microseconds of CPU a message, unless its name says otherwise; written to {MEASURED}")


def _medians(taken: dict[str, list[Costs]]) -> dict[str, Costs]:
    return {
        name: {key: round(median(cost[key] for cost in costs), 4) for key in costs[0]}
        for name, costs in taken.items()
    }


@contextlib.contextmanager
def _site(directory: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        alone = {}
        for name, kind in DATABASES.items():
            disk = stack.enter_context(database(kind, directory))
            server = Ours().start(directory, DATABASE_URL=disk.url("alone"))
            alone[name] = stack.enter_context(server), disk
        redis = stack.enter_context(start_redis(directory))
        cpu.pin(redis.pid, cpu.SERVER)
        linked = stack.enter_context(ours(directory, redis, disk))
        yield Site(alone, linked, visits.rest(linked.programs))


def _measure_all(site: Site) -> Iterator[tuple[str, Costs]]:
    for point in POINTS:
        yield point.name, _measure(site, point)
    for name, (running, disk) in site.alone.items():
        yield from visits.visits(name, running, disk).items()
    yield "PUBLISH in Redis", visits.publishing(site.linked.redis)


def _measure(site: Site, point: Point) -> Costs:
    """Of each program; and commits or round trips to Redis, of a message too."""
    programs = site.programs(point)
    running = site.alone[point.place][0]
    one, other = (site.linked.one, site.linked.other) if point.across else (running, running)
    for each in {id(each): each for each in (one, other)}.values():
        settle(each)
    if point.database:
        os.sync()  # what was written before would keep the disk busy meanwhile
        time.sleep(REST_SECONDS)
    with _rooms(point, one, other) as rooms:
        counting = _counting(site, point)
        seconds = STORED_SECONDS if point.database else SECONDS
        measured = measure(rooms, list(programs.values()), warm=WARM_SECONDS, seconds=seconds)
        sent = sum(room.done * room.chunk * len(room.publishers) for room in rooms)
        counted = {name: count / sent for name, count in counting().items()}
    each = 1e6 / measured.messages
    rests = site.rests if point.across else {}
    costs = {
        name: (measured.by_process[pid] - rests.get(name, 0.0) * measured.seconds / 1e6) * each
        for name, pid in programs.items()
    }
    return costs | counted


def _counting(site: Site, point: Point) -> Callable[[], Costs]:
    """Counts what happens from now on."""

    def now() -> dict[str, int]:
        if point.database:
            return {"commits": ask(site.alone[point.place][1].url("alone"), COMMITS)}
        if not point.across:
            return {}
        with Redis.from_url(redis_url(site.linked.redis)) as redis:
            known: Any = redis.info("all")
        return {
            "published": known["cmdstat_publish"]["calls"],
            "trips": known["total_reads_processed"],
        }

    before = now()
    return lambda: {name: count - before[name] for name, count in now().items()}


@contextlib.contextmanager
def _rooms(point: Point, one: Running, other: Running) -> Iterator[list[Room]]:
    if not point.database:
        size = point.members, point.chunk, point.rooms, point.everyone, point.ahead
        with Talk("units", point.name, *size).connected(Ours(), one, other, point.chunk) as rooms:
            yield rooms
        return
    opened: list[Connection] = []
    try:
        size = point.publishers, point.chunk, point.ahead
        yield [store_room(one, point.channels, opened, *size)]
    finally:
        close_all(opened)

"""Two processes that Redis links, or PostgreSQL alone: who publishes is with one, who listens with
the other; or what is stored in a third, or in both."""

import contextlib
import json
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks import cpu, outside
from benchmarks.databases import Database, database
from benchmarks.generator.connection import Connection, Refused, close_all, open_many
from benchmarks.generator.loop import Usage, measure, percentiles
from benchmarks.generator.paced import paced
from benchmarks.peers import Peer, Running
from benchmarks.peers.ours import Ours
from benchmarks.peers.tutorial import Tutorial
from tests.support.servers import ROOT, Program, Server, keys_of, redis_url, start_redis

from .base import VERSIONS, Figures, Options, Run, Scenario
from .stored import steady_pairs, store_room
from .talk import TALKS, WARM_SECONDS, Talk

PACED_RATE: Final = 100
OUTSIDE_PAUSE_SECONDS: Final = 0.03
WARM_MESSAGES: Final = 10
PASSING: Final = {"publish": True, "broadcast": True}


@dataclass(frozen=True)
class Linked:
    """Two processes of one site; `programs` are all that work for it, Redis and the database
    too: name -> process id."""

    one: Running
    other: Running
    redis: Program
    programs: dict[str, int]

    @property
    def pids(self) -> list[int]:
        return list(self.programs.values())


@contextlib.contextmanager
def ours(
    directory: Path, redis: Program, disk: Database, *, through_redis: bool = True
) -> Iterator[Linked]:
    """Redis does nothing where they are not linked through it."""
    env: dict[str, Any] = {"DATABASE_URL": disk.url("ours" if through_redis else "alone")}
    env |= {"REDIS_URL": redis_url(redis)} if through_redis else {}
    with Ours().start(directory, **env) as one:
        server = one.keep["server"]
        assert isinstance(server, Server)  # noqa: S101
        with Ours().start(directory, **env, **keys_of(server)) as other:
            named = {"server": one.pids[0], "other": other.pids[0]}
            yield Linked(one, other, redis, named | {"redis": redis.pid, "postgres": disk.pids[0]})


@contextlib.contextmanager
def tutorial(directory: Path, redis: Program) -> Iterator[Linked]:
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(Tutorial().start(directory, redis_url(redis))) for _ in range(2)
        )
        named = {"server": one.pids[0], "other": other.pids[0]}
        yield Linked(one, other, redis, named | {"redis": redis.pid})


@dataclass(frozen=True)
class Across(Scenario):
    name: str
    title: str
    talk: str
    alone: bool = False
    """Whether one process is measured beside the two."""
    on_postgresql: bool = True
    """Whether two processes on PostgreSQL alone are, too."""
    chunk: int = 0
    """With one chunk of so many on its way; 0: as the talk has it."""

    names: ClassVar = {
        "ours": "ours with Redis",
        "alone": "ours, one process",
        "tutorial": "the Channels tutorial's chat on channels_redis",
        "paced": f"ours with Redis, {PACED_RATE} messages a second",
        "postgresql": "ours on PostgreSQL alone",
        "postgresql-paced": f"ours on PostgreSQL alone, {PACED_RATE} messages a second",
    }

    @property
    def short(self) -> bool:  # type: ignore[override]
        return not self.alone

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        talk = TALKS[self.talk]
        if self.chunk:
            # One at a time: of two, one process or the other joins more, as they happen to meet.
            talk = replace(talk, chunk=self.chunk, ahead=1)
        with ExitStack() as stack:
            redis = stack.enter_context(_redis(directory))
            disk = stack.enter_context(database("postgresql", directory))
            linked = stack.enter_context(ours(directory, redis, disk))
            sides: dict[str, Run] = {"ours": partial(_across, talk, Ours(), linked, options)}
            if self.alone:
                own = directory / "alone"
                own.mkdir()
                one = stack.enter_context(Ours().start(own))
                sides["alone"] = lambda: talk.run(
                    Ours(), one, one, options.seconds, options.chunk or talk.chunk
                ).figures()
            else:
                sides["paced"] = partial(_paced, linked, options)
            if self.on_postgresql:
                own = directory / "postgresql"
                own.mkdir()
                linked = stack.enter_context(ours(own, redis, disk, through_redis=False))
                sides["postgresql"] = partial(_across, talk, Ours(), linked, options)
                if not self.alone:
                    sides["postgresql-paced"] = partial(_paced, linked, options)
            if Tutorial.name in chosen:
                peers = stack.enter_context(tutorial(directory, redis))
                sides["tutorial"] = partial(_across, talk, Tutorial(), peers, options)
            yield sides


@contextlib.contextmanager
def _redis(directory: Path) -> Iterator[Program]:
    with start_redis(directory) as redis:
        cpu.pin(redis.pid, cpu.SERVER)
        VERSIONS["Redis"] = _version()
        yield redis


def _version(program: str = "redis-server") -> str:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"v=(\S+)", shown.stdout)
    return found[1] if found else ""


def _across(talk: Talk, peer: Peer, linked: Linked, options: Options) -> Figures:
    chunk = options.chunk or peer.chunks.get(talk.name, talk.chunk)
    with talk.connected(peer, linked.one, linked.other, chunk) as rooms:
        redis = Usage([linked.redis.pid])
        measured = measure(rooms, linked.pids, warm=WARM_SECONDS, seconds=options.seconds)
        used = redis.since()[0]
    redis_us = used / (rooms[0].done * chunk) * 1e6
    return measured.figures() | {"redis_us_message": redis_us}


def _paced(linked: Linked, options: Options) -> Figures:
    connections: list[Connection] = []
    try:
        pairs = steady_pairs(linked.one, linked.other, 10, connections, PASSING)
        return paced(pairs, PACED_RATE, max(3.0, options.seconds * 2), 0.5, linked.pids)
    finally:
        close_all(connections)


# --- what another process stores ----------------------------------------------------------------


@dataclass(frozen=True)
class Outside(Scenario):
    """Every OUTSIDE_PAUSE_SECONDS a message of a process that serves nobody: when the clients of
    each server have it."""

    name = "outside"
    title = "stored by another process"
    names: ClassVar = {
        "postgresql": "two servers on PostgreSQL alone",
        "redis": "two servers with Redis",
        "sqlite": "one server on SQLite",
    }

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        places = {name: directory / name for name in self.names}
        for place in places.values():
            place.mkdir()
        with (
            _redis(directory) as redis,
            database("postgresql", directory) as disk,
            ours(places["redis"], redis, disk) as linked,
            ours(places["postgresql"], redis, disk, through_redis=False) as alone,
            Ours().start(places["sqlite"]) as single,
        ):
            yield {
                "postgresql": partial(_outside, [alone.one, alone.other], options),
                "redis": partial(_outside, [linked.one, linked.other], options),
                "sqlite": partial(_outside, [single], options),
            }


def _outside(servers: Sequence[Running], options: Options) -> Figures:
    count = WARM_MESSAGES + int(max(3.0, options.seconds * 10) / OUTSIDE_PAUSE_SECONDS)
    reading = {outside.CHANNEL: {"subscribe": True, "autoSubscribe": True}}
    readers: list[Connection] = []
    try:
        for server in servers:
            target = Ours.connect(server, channels=reading)
            readers += open_many(server.port, [target], Ours().settle)
        server = servers[0].keep["server"]
        assert isinstance(server, Server)  # noqa: S101
        publishing = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.outside", str(count), str(OUTSIDE_PAUSE_SECONDS)],
            cwd=ROOT,
            env=server.env,
            stdout=subprocess.PIPE,
        )
        arrived = _arrivals(readers, count)
        published = json.loads(publishing.communicate()[0])
    finally:
        close_all(readers)
    pairs = [
        pair
        for times in arrived
        for pair in list(zip(times, published, strict=True))[WARM_MESSAGES:]
    ]
    taken = [at - began for at, (began, _) in pairs]
    once_stored = percentiles([at - stored for at, (_, stored) in pairs])["p99_ms"]
    return {**percentiles(taken), "max_ms": max(taken) * 1e3, "once_stored_ms": once_stored}


def _arrivals(readers: Sequence[Connection], count: int) -> list[list[float]]:
    """When each of them has got each of so many messages."""
    arrived: dict[int, list[float]] = {reader.fileno: [] for reader in readers}
    by_fileno = {reader.fileno: reader for reader in readers}
    deadline = time.monotonic() + 20 + 2 * count * OUTSIDE_PAUSE_SECONDS
    with contextlib.closing(select.epoll()) as poll:
        for fileno in arrived:
            poll.register(fileno, select.EPOLLIN)
        while min(map(len, arrived.values())) < count:
            if time.monotonic() > deadline:
                raise Refused("what another process stored never came")
            for fileno, _ in poll.poll(0.1):
                by_fileno[fileno].read()
                times = arrived[fileno]
                times += [time.perf_counter()] * (by_fileno[fileno].texts - len(times))
    return list(arrived.values())


@dataclass(frozen=True)
class StoredByTwo(Scenario):
    """64 publishers, each in a channel, with one server or by turns with two, and one reader of
    all. No process is held on a core: two servers would share it."""

    name = "stored-two"
    title = "stored on PostgreSQL: 64 publishers, 64 channels, every process on both cores"
    names: ClassVar = {
        "one": "one server with Redis",
        "two": "two servers on PostgreSQL alone",
        "two-redis": "two servers with Redis",
    }

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        places = {name: directory / name for name in self.names}
        for place in places.values():
            place.mkdir()
        with (
            _redis(directory) as redis,
            database("postgresql", directory) as disk,
            ours(places["two"], redis, disk, through_redis=False) as alone,
            ours(places["two-redis"], redis, disk) as linked,
            Ours().start(
                places["one"], DATABASE_URL=disk.url("one"), REDIS_URL=redis_url(redis)
            ) as single,
        ):
            shared = [redis.pid, *disk.pids]
            for pid in (*shared, *alone.pids, *linked.pids, *single.pids):
                cpu.pin(pid, *cpu.AVAILABLE)
            yield {
                "one": partial(_stored_by, [single], [*single.pids, *shared], options),
                "two": partial(_stored_by, [alone.one, alone.other], alone.pids, options),
                "two-redis": partial(_stored_by, [linked.one, linked.other], linked.pids, options),
            }


def _stored_by(servers: Sequence[Running], pids: Sequence[int], options: Options) -> Figures:
    connections: list[Connection] = []
    try:
        room = store_room(servers[0], 64, connections, others=servers[1:])
        figures = measure([room], pids, warm=WARM_SECONDS, seconds=options.seconds).figures()
    finally:
        close_all(connections)
    return figures


LINKED: Final = Across("redis-1", "two processes, 1 → 1 across", "fanout-1")
ACROSS: Final[tuple[Scenario, ...]] = (
    LINKED,
    Across(
        "redis-1000",
        "two processes, 1 → 1,000 across",
        "fanout-1000",
        alone=True,
        chunk=64,
    ),
    Outside(),
    StoredByTwo(),
)

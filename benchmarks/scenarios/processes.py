"""Two processes that Redis links, or PostgreSQL alone: who publishes is with one, who listens with
the other."""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks import cpu
from benchmarks.databases import Database, database
from benchmarks.generator.connection import Connection, close_all
from benchmarks.generator.loop import Usage, measure
from benchmarks.generator.paced import paced
from benchmarks.peers import Peer, Running
from benchmarks.peers.ours import Ours
from benchmarks.peers.tutorial import Tutorial
from tests.support.servers import Program, Server, keys_of, redis_url, start_redis

from .base import VERSIONS, Figures, Options, Run, Scenario
from .stored import steady_pairs
from .talk import TALKS, WARM_SECONDS, Talk

PACED_RATE: Final = 100
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
    chunk: int = 0
    """With one chunk of so many on its way; 0: as the talk has it."""

    names: ClassVar = {
        "ours": "ours, two processes",
        "alone": "ours, one process",
        "tutorial": "the Channels tutorial's chat on channels_redis",
        "paced": f"ours, {PACED_RATE} messages a second",
        "postgresql": "ours, two processes on PostgreSQL alone",
        "postgresql-paced": f"the same, {PACED_RATE} messages a second",
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


ACROSS: Final = (
    Across("redis-1", "two processes with Redis, 1 → 1 across", "fanout-1"),
    Across(
        "redis-1000",
        "two processes with Redis, 1 → 1,000 across",
        "fanout-1000",
        alone=True,
        chunk=64,
    ),
)

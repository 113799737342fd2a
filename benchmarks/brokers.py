"""`python -m benchmarks --brokers`: what PostgreSQL takes as the broker, beside Redis, and what its
lock of commits that notify costs. Some four minutes; `make bench-report` writes docs/scaling.md.

The lock: writers that insert a row a commit, as fast as they can, while two sessions listen. Who
notifies within its transaction holds a lock of the whole cluster while it waits for the disk; who
does so after it, as this server, holds it for no disk. The second disk is the first one, 2 ms
slower (`commit_delay`).

The processes: a message at a time, at an even pace, and bursts; CPU of each process less that of
the same process at rest. All but the load generator share a core.
"""

import contextlib
import json
import os
import re
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median
from typing import Final

import psycopg

from benchmarks import cpu, results
from benchmarks.databases import Database, database, sync_seconds
from benchmarks.generator.connection import Connection, close_all
from benchmarks.generator.loop import measure
from benchmarks.generator.paced import paced
from benchmarks.pages import table
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours
from benchmarks.scenarios.processes import PASSING
from benchmarks.scenarios.stored import steady_pairs
from benchmarks.scenarios.talk import TALKS
from tests.support.servers import Server, find_program, keys_of, redis_url, start_redis

KEPT: Final = Path(__file__).parent / "brokers.json"
WRITERS: Final = (2, 8, 32)
LOCK_SECONDS: Final = 3
INSERT: Final = "INSERT INTO written (data) VALUES (repeat('x', 100));\n"
NOTIFY: Final = "SELECT pg_notify('written', 'one');\n"
WAYS: Final = {
    "no NOTIFY": f"BEGIN;\n{INSERT}COMMIT;\n",
    "after the commit": f"BEGIN;\n{INSERT}COMMIT;\n{NOTIFY}",
    "within the transaction": f"BEGIN;\n{INSERT}{NOTIFY}COMMIT;\n",
}
DISKS: Final = {"this disk": "", "2 ms slower": "-c commit_delay=2000 -c commit_siblings=0"}

PROCESSES: Final = (2, 6)
RATE: Final = 200
PACED_SECONDS: Final = 4.0
BURST_SECONDS: Final = 1.5
REST_SECONDS: Final = 1.0
RUNS: Final = 3

COMPARED: Final = (2, 3, 6, 12, 24)
SAVED: Final = 0.5
"""Of a core: what a second service is worth here."""

Costs = dict[str, float]
"""Who -> microseconds of CPU a message."""


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-brokers-") as name,
        cpu.pinned(cpu.GENERATOR),
    ):
        directory = Path(name)
        directory.chmod(0o755)
        about = results.fresh(full=True)
        sync_ms = median(sync_seconds(directory)) * 1e3
        with database("postgresql", directory) as disk:
            found = {
                "lock": {name: list(rates) for name, rates in _lock(disk, directory)},
                "costs": _processes(disk, directory),
                "measured": f"Measured {about.date[:10]} at {about.commit}, load"
                f" {about.machine['load']} before; an fsync of 4 KiB takes {sync_ms:.2f} ms.",
            }
    KEPT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(figures().values()))


def figures() -> dict[str, str]:
    """The tables by name, as they were measured last."""
    found = json.loads(KEPT.read_text())
    costs: dict[str, dict[str, Costs]] = found["costs"]
    return {
        "brokers-measured": found["measured"],
        "lock": table(
            ("commits a second", *WAYS),
            [[name, *(f"{rate:,.0f}" for rate in rates)] for name, rates in found["lock"].items()],
        ),
        "brokers": table(
            ("µs of CPU a message", *costs),
            [
                [f"{how}: {who}", *(f"{each[how][who]:,.1f}" for each in costs.values())]
                for how, by_whom in next(iter(costs.values())).items()
                for who in by_whom
            ],
        ),
        "pays": table(
            ("processes", *map(str, COMPARED)),
            [line for how in next(iter(costs.values())) for line in _compared(costs, how)],
        ),
    }


def _compared(costs: Mapping[str, Mapping[str, Costs]], how: str) -> Iterator[list[str]]:
    """What all processes and the broker take together; between and beyond what was measured by a
    straight line, since each further process takes the same."""
    few, many = PROCESSES

    def taken(broker: str, processes: int) -> float:
        less, more = (_in_all(costs[f"{broker}, {n} processes"][how], n) for n in PROCESSES)
        return less + (more - less) * (processes - few) / (many - few)

    both = [[taken(broker, n) for n in COMPARED] for broker in ("PostgreSQL", "Redis")]
    for broker, each in zip(("PostgreSQL", "Redis"), both, strict=True):
        yield [f"{how}, µs in all: {broker}", *(f"{micros:,.1f}" for micros in each)]
    saved = [alone - redis for alone, redis in zip(*both, strict=True)]
    yield [
        f"{how}: Redis saves half a core from … messages a second on",
        *(f"{SAVED / micros * 1e6:,.0f}" if micros > 0 else "never" for micros in saved),
    ]


def _in_all(costs: Costs, processes: int) -> float:
    return sum(costs.values()) + costs["each other process"] * (processes - 3)


# --- the lock -----------------------------------------------------------------------------------


def _lock(disk: Database, directory: Path) -> Iterator[tuple[str, list[float]]]:
    url = disk.url("lock")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, data text)")
    with _listening(url), _listening(url):
        for name, options in DISKS.items():
            for writers in WRITERS:
                rates = [_commits(url, directory, way, writers, options) for way in WAYS.values()]
                yield f"{name}, {writers} writers", rates


def _commits(url: str, directory: Path, script: str, writers: int, options: str) -> float:
    """Of pgbench, a second."""
    file = directory / "written.sql"
    file.write_text(script)
    shown = subprocess.run(  # noqa: S603
        [
            *[find_program("pgbench"), "-n", "-f", str(file), "-c", str(writers)],
            *["-T", str(LOCK_SECONDS), url],
        ],
        env=os.environ | {"PGOPTIONS": options},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"tps = ([\d.]+)", shown.stdout)
    return float(found[1]) if found else 0.0


@contextlib.contextmanager
def _listening(url: str) -> Iterator[None]:
    ended = threading.Event()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("LISTEN written")

        def read() -> None:
            while not ended.is_set():
                if select.select([connection.fileno()], [], [], 0.1)[0]:
                    connection.pgconn.consume_input()
                    while connection.pgconn.notifies() is not None:
                        pass

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


# --- the processes ------------------------------------------------------------------------------


def _processes(disk: Database, directory: Path) -> dict[str, dict[str, Costs]]:
    found = {}
    with start_redis(directory) as redis:
        cpu.pin(redis.pid, cpu.SERVER)
        for processes in PROCESSES:
            for name, pid, env in (
                ("PostgreSQL", disk.pids[0], {}),
                ("Redis", redis.pid, {"REDIS_URL": redis_url(redis)}),
            ):
                own = directory / f"{name}-{processes}"
                own.mkdir()
                url = disk.url(f"{name}_{processes}".lower())
                with _servers(own, processes, {"DATABASE_URL": url} | env) as servers:
                    found[f"{name}, {processes} processes"] = _costs(servers, pid)
    return found


@contextlib.contextmanager
def _servers(directory: Path, count: int, env: Mapping[str, str]) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(Ours().start(directory, **env))]
        first = servers[0].keep["server"]
        assert isinstance(first, Server)  # noqa: S101
        keys = keys_of(first)
        servers += [
            stack.enter_context(Ours().start(directory, **env, **keys)) for _ in range(count - 1)
        ]
        yield servers


def _costs(servers: Sequence[Running], broker: int) -> dict[str, Costs]:
    return {
        "one at a time": _median([_one_at_a_time(servers, broker) for _ in range(RUNS)]),
        "in bursts": _median([_in_bursts(servers, broker) for _ in range(RUNS)]),
    }


def _median(runs: Sequence[Costs]) -> Costs:
    return {who: median(run[who] for run in runs) for who in runs[0]}


def _one_at_a_time(servers: Sequence[Running], broker: int) -> Costs:
    connections: list[Connection] = []
    pids = [broker, *(server.pids[0] for server in servers)]
    try:
        pairs = steady_pairs(servers[0], servers[1], 10, connections, PASSING)
        time.sleep(REST_SECONDS)
        resting = _used(pids)
        time.sleep(PACED_SECONDS)
        before = _used(pids)
        paced(pairs, RATE, PACED_SECONDS, 0.0, pids)
        used = [
            (now - then) - (then - rest)
            for now, then, rest in zip(_used(pids), before, resting, strict=True)
        ]
    finally:
        close_all(connections)
    return _by_role(used, int(RATE * PACED_SECONDS))


def _in_bursts(servers: Sequence[Running], broker: int) -> Costs:
    pids = [broker, *(server.pids[0] for server in servers)]
    talk = TALKS["fanout-1"]
    with talk.connected(Ours(), servers[0], servers[1], talk.chunk) as rooms:
        before = _used(pids)
        measure(rooms, pids, warm=0.0, seconds=BURST_SECONDS)
        used = [now - then for now, then in zip(_used(pids), before, strict=True)]
        return _by_role(used, rooms[0].done * talk.chunk)


def _used(pids: Sequence[int]) -> list[float]:
    return [cpu.used([pid]) for pid in pids]


def _by_role(seconds: Sequence[float], messages: int) -> Costs:
    """Of the broker, the process that tells, the one whose client gets it, and the others."""
    broker, telling, hearing, *others = (each / messages * 1e6 for each in seconds)
    return {
        "its publisher's process": telling,
        "its reader's process": hearing,
        "each other process": max(0.0, mean(others)) if others else 0.0,  # below is noise
        "the broker": broker,
    }

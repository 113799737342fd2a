"""How throughput, latency and memory change with what a site has more and more of."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.databases import database
from benchmarks.generator.connection import Connection, close_all
from benchmarks.generator.loop import measure
from benchmarks.large import large
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours
from tests.support.servers import ROOT

from .base import Figures, Options, Run, Scenario
from .stored import store_room
from .talk import TALKS, WARM_SECONDS, Talk

IN_FLIGHT: Final = 128 * 1024
"""Bytes of a chunk to one reader: less than the server keeps for one that reads slowly."""

CROWDS: Final = (100, 2000, 6000, 12000, 18000)
ROOMS: Final = (1, 10, 100, 1000, 2000)
SUBSCRIBERS: Final = (1, 10, 100, 1000, 4000)
SIZES: Final = (16, 128, 1024, 8192, 32 * 1024 - 2)
"""Of the text; its quotes count too."""


@dataclass(frozen=True)
class Growth(Scenario):
    """Sides are the values of what grows; `axis` is what it is called."""

    name: str
    title: str
    axis: str
    values: Sequence[int]
    talk_of: Callable[[int], Talk]
    runs = 2

    def title_of(self, side: str) -> str:
        return f"{int(side):,}"

    def notes(self) -> dict[str, object]:
        return {"axis": self.axis}

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with Ours().start(directory) as running:
            yield {str(value): partial(self._run, running, options, value) for value in self.values}

    def _run(self, running: Running, options: Options, value: int) -> Figures:
        return _talked(self.talk_of(value), running, options)


def _talked(talk: Talk, running: Running, options: Options) -> Figures:
    with talk.connected(Ours(), running, running, talk.chunk) as rooms:
        measured = measure(
            rooms, running.pids, warm=WARM_SECONDS, seconds=options.seconds, rest=talk.rest
        )
        memory = running.memory()
    return measured.figures() | {"server_mb": memory / 1e6}


class Crowded(Growth):
    """Connections that only stay alive, in a process of their own, beside a talk of 1 → 100."""

    runs = 1

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with (
            Ours().start(directory) as running,
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "benchmarks.generator.crowd", str(running.port)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as crowd,
        ):
            yield {
                str(value): partial(self._beside, crowd, directory, running, options, value)
                for value in self.values
            }
            assert crowd.stdin is not None  # noqa: S101
            crowd.stdin.close()

    def _beside(
        self,
        crowd: subprocess.Popen[str],
        directory: Path,
        running: Running,
        options: Options,
        value: int,
    ) -> Figures:
        more = value - int(running.keep.get("crowd", 0))  # type: ignore[call-overload]
        running.keep["crowd"] = value
        people = [(f"news-{number % 100}", f"u{number:06}") for number in range(more)]
        targets = [Ours().target(running, room, who, "member") for room, who in people]
        path = directory / "targets.json"
        path.write_text(json.dumps(targets))
        assert crowd.stdin is not None  # noqa: S101
        assert crowd.stdout is not None  # noqa: S101
        crowd.stdin.write(f"{path}\n")
        crowd.stdin.flush()
        if (said := crowd.stdout.readline().strip()) != str(value):
            raise ValueError(f"there are {said or 'no'} connections instead of {value}")
        return _talked(self.talk_of(value), running, options)


class Rows(Growth):
    """Stored messages on SQLite, in tables of more and more rows."""

    def __init__(self) -> None:
        super().__init__(
            "growth-rows",
            "rows in the table: messages stored on SQLite by 64 publishers",
            "rows in the table",
            (),
            lambda _: TALKS["fanout-1"],
        )

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        values = [options.rows // share for share in (100, 10, 1)]
        yield {
            str(value): partial(self._on, directory, options, value) for value in (1000, *values)
        }

    def _on(self, directory: Path, options: Options, rows: int) -> Figures:
        connections: list[Connection] = []
        with (
            database("sqlite", directory) as disk,
            Ours().start(directory, DATABASE_URL=large(disk, rows)) as running,
        ):
            try:
                room = store_room(running, 64, connections)
                seconds = max(3.0, options.seconds)
                measured = measure([room], running.pids, warm=WARM_SECONDS, seconds=seconds)
                memory = running.memory()
            finally:
                close_all(connections)
        return measured.figures() | {"server_mb": memory / 1e6}


def _sized(size: int) -> Talk:
    talk = TALKS["fanout-100"]
    chunk = max(1, min(talk.chunk, IN_FLIGHT // size))
    return replace(talk, name="growth-size", data="x" * size, chunk=chunk)


def _of(members: int) -> Talk:
    chunk = 128 if members == 1 else 32 if members <= 100 else 16
    few, many = TALKS["fanout-100"], TALKS["fanout-1000"]
    rest = min(few.rest * members / few.members, many.rest)
    return replace(few, members=members, chunk=chunk, rest=rest)


def _in(rooms: int) -> Talk:
    talk = TALKS["rooms"]
    return replace(talk, rooms=rooms, rest=min(talk.rest * rooms / talk.rooms, talk.rest))


GROWTH: Final = (
    Crowded(
        "growth-connections",
        "connections that stay alive, beside 1 → 100",
        "connections",
        CROWDS,
        lambda _: TALKS["fanout-100"],
    ),
    Growth(
        "growth-channels",
        "channels of 2, all talking",
        "channels",
        ROOMS,
        _in,
    ),
    Growth("growth-subscribers", "subscribers of one channel", "subscribers", SUBSCRIBERS, _of),
    Growth("growth-size", "size of a message, 1 → 100", "bytes of data", SIZES, _sized),
    Rows(),
)

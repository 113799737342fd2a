"""Messages that are stored: how many a second, and how soon each is with its reader."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks import cpu
from benchmarks.databases import TITLES, Database, Kind, ask, database, sync_seconds
from benchmarks.generator.connection import Connection, Refused, close_all, open_many
from benchmarks.generator.loop import measure, percentiles
from benchmarks.generator.paced import Pair, paced
from benchmarks.generator.rooms import AHEAD, Room
from benchmarks.inserts import BATCH, LARGE_BATCH
from benchmarks.peers import Running
from benchmarks.peers.base import DATA
from benchmarks.peers.ours import Ours
from tests.support.servers import ROOT, server_environment

from .base import Figures, Options, Run, Scenario
from .talk import WARM_SECONDS, learn

PUBLISHERS: Final = 64
CHUNK: Final = 8
CHANNEL: Final = "stored-{:03}"
PUBLISH: Final = {"publish": True, "broadcast": True, "store": 86400}
STEADY_RATE: Final = 200
REST_SECONDS: Final = 2.0
STEADY_PAIRS: Final = 20
COUNT: Final = "SELECT count(*) FROM chat_message"


@dataclass(frozen=True)
class Stored(Scenario):
    """64 publishers, each in one of `channels`, and one reader of all, who counts."""

    kind: Kind
    channels: int
    names: ClassVar = {
        "ours": "ours, each with its token",
        "orm": "one ORM transaction each",
        "plain": f"plain inserts, {BATCH} a commit",
        "large": f"plain inserts, {LARGE_BATCH} a commit",
    }

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"stored-{self.kind}-{self.channels}"

    @property
    def title(self) -> str:  # type: ignore[override]
        s = "" if self.channels == 1 else "s"
        return f"stored on {TITLES[self.kind]}: 64 publishers, {self.channels} channel{s}"

    @property
    def short(self) -> bool:  # type: ignore[override]
        return self.channels == 1

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with (
            database(self.kind, directory) as disk,
            Ours().start(directory, DATABASE_URL=disk.url("ours")) as running,
        ):
            ways = ("orm", "plain", "large") if options.full else ("orm", "plain")
            yield {
                "ours": lambda: self._ours(disk, running, options),
                **{way: partial(self._inserted, way, disk, options) for way in ways},
            }

    def _ours(self, disk: Database, running: Running, options: Options) -> Figures:
        before = ask(disk.url("ours"), COUNT)
        connections: list[Connection] = []
        try:
            room = store_room(running, self.channels, connections)
            pids = [*running.pids, *disk.pids]
            measured = measure([room], pids, warm=WARM_SECONDS, seconds=options.seconds)
            told = room.deliveries + PUBLISHERS  # each spoke once before
        finally:
            close_all(connections)
        stored = ask(disk.url("ours"), COUNT) - before
        if stored != told:
            raise Refused(f"{told} messages were delivered, {stored} are stored")
        return measured.figures()

    def _inserted(self, way: str, disk: Database, options: Options) -> Figures:
        env = server_environment(disk.directory, DATABASE_URL=disk.url(way))
        command = ["-m", "benchmarks.inserts", way, str(self.channels), str(options.seconds)]
        with cpu.pinned(cpu.SERVER):
            outcome = subprocess.run(  # noqa: S603
                [sys.executable, *command],
                cwd=ROOT,
                env=env | {"PIDS": " ".join(map(str, disk.pids))},
                capture_output=True,
                text=True,
                check=False,
            )
        if outcome.returncode:
            raise Refused(outcome.stderr.strip()[-300:])
        figures: Figures = json.loads(outcome.stdout)
        return figures


def store_room(
    running: Running,
    channels: int,
    connections: list[Connection],
    many: int = PUBLISHERS,
    chunk: int = CHUNK,
    ahead: int = AHEAD,
    others: Sequence[Running] = (),
) -> Room:
    """Once each of so many publishers has been heard; `connections` gets those that are opened. The
    reader is with `running`, the publishers by turns with that and the others."""
    names = [CHANNEL.format(number) for number in range(channels)]
    reading = {name: {"subscribe": True, "autoSubscribe": True} for name in names}
    target = Ours.connect(running, channels=reading)
    [reader] = open_many(running.port, [target], partial(_subscribed, channels))
    connections.append(reader)
    servers = [running, *others]
    publishers, payloads = [], []
    for place, server in enumerate(servers):
        targets = []
        for number in range(place, many, len(servers)):
            name = names[number % channels]
            granted = {name: {"subscribe": True, "messages": {"chat": PUBLISH}}}
            targets.append(Ours.connect(server, uid=f"u{number:05}", channels=granted))
            payloads.append(Ours().payload(name, ""))
        publishers += open_many(server.port, targets, _settled)
    connections += publishers
    for publisher, payload in zip(publishers, payloads, strict=True):
        publisher.send(payload)
        learn([reader.next_text(DATA.encode())], [reader])
    return Room(publishers, [reader], payloads, chunk=chunk, echoes=False, ahead=ahead)


def _subscribed(channels: int, batch: Sequence[Connection]) -> None:
    for connection in batch:
        for _ in range(channels):
            connection.next_text(b"hotsock.subscribed")


def _settled(batch: Sequence[Connection]) -> None:
    for connection in batch:
        connection.next_text(b"hotsock.connected")


@dataclass(frozen=True)
class Steady(Scenario):
    """200 stored messages a second, evenly: when each reaches its reader."""

    kind: Kind
    names: ClassVar = {"ours": "ours", "disk": "the disk: 4 KiB and fsync"}

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"steady-{self.kind}"

    @property
    def short(self) -> bool:  # type: ignore[override]
        return self.kind == "sqlite"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"{STEADY_RATE} stored messages a second on {TITLES[self.kind]}"

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with (
            database(self.kind, directory) as disk,
            Ours().start(directory, DATABASE_URL=disk.url("ours")) as running,
        ):
            os.sync()  # what scenarios before have written would keep the disk busy for seconds
            time.sleep(REST_SECONDS)
            yield {
                "ours": lambda: self._ours(disk, running, options),
                "disk": lambda: percentiles(sync_seconds(directory, 200)),
            }

    def _ours(self, disk: Database, running: Running, options: Options) -> Figures:
        connections: list[Connection] = []
        try:
            pairs = steady_pairs(running, running, STEADY_PAIRS, connections)
            pids = [*running.pids, *disk.pids]
            return paced(pairs, STEADY_RATE, max(2.5, options.seconds * 2), 0.5, pids)
        finally:
            close_all(connections)


def steady_pairs(
    publishing: Running,
    receiving: Running,
    count: int,
    connections: list[Connection],
    directives: Any = PUBLISH,
) -> list[Pair]:
    pairs = []
    names = [CHANNEL.format(number) for number in range(count)]
    reading = {"subscribe": True, "autoSubscribe": True}
    targets = [Ours.connect(receiving, channels={name: reading}) for name in names]
    readers = open_many(receiving.port, targets, Ours().settle)
    connections += readers
    granted = {"stored-*": {"subscribe": True, "messages": {"chat": directives}}}
    target = Ours.connect(publishing, uid="jim", channels=granted)
    publishers = open_many(publishing.port, [target] * count, _settled)
    connections += publishers
    for name, publisher, reader in zip(names, publishers, readers, strict=True):
        payload = Ours().payload(name, "")
        publisher.send(payload)
        learn([reader.next_text(DATA.encode())], [reader])
        pairs.append(Pair(publisher, reader, payload))
    return pairs


KINDS: Final[tuple[Kind, ...]] = ("sqlite", "postgresql")
STORED: Final = (
    *(Stored(kind, channels) for kind in KINDS for channels in (1, 64)),
    *(Steady(kind) for kind in KINDS),
)

"""New connections, each with a token that is verified and a row that is written."""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from benchmarks import cpu
from benchmarks.databases import ask
from benchmarks.generator.connection import Connection, Refused, close_all
from benchmarks.generator.loop import Usage
from benchmarks.peers import Running
from benchmarks.peers.node import NodeWs
from benchmarks.peers.ours import Ours

from .base import Figures, Options, Run, Scenario, started

COUNT: Final = {False: 1000, True: 3000}
AT_ONCE: Final = 64
SETTLE_SECONDS: Final = 20
QUIET: Final = 0.05
CONNECTED: Final = b"hotsock.connected"
ROWS: Final = "SELECT count(*) FROM chat_connection"


class Handshakes(Scenario):
    name = "handshakes"
    title = f"new connections, {AT_ONCE} at once"
    short = True
    names: ClassVar = {
        "cached": "ours, one token for all",
        "fresh": "ours, a fresh HS256 token each",
        "ws": "node ws, without tokens or rows",
    }

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        count = COUNT[options.full]
        url = f"sqlite:///{directory / 'handshakes.sqlite3'}"
        with (
            Ours().start(directory, DATABASE_URL=url) as ours,
            started([each for each in chosen if each == NodeWs.name], directory) as others,
        ):
            sides = {
                "cached": lambda: _stored(ours, [_target(ours, "all")] * count, url),
                "fresh": lambda: _stored(ours, [_target(ours, who) for who in _new(count)], url),
            }
            yield sides | {
                peer.name: partial(run, running, ["/room"] * count, b"") for peer, running in others
            }


def _new(count: int) -> Iterator[str]:
    return (f"u{next(_people):07}" for _ in range(count))


def _target(running: Running, who: str) -> str:
    granted = {"news": {"subscribe": True, "messages": {"chat": {"publish": True}}}}
    return Ours.connect(running, uid=who, channels=granted)


def _stored(running: Running, targets: Sequence[str], url: str) -> Figures:
    run(running, targets[:1], CONNECTED)  # the token that all share has been seen
    return run(running, targets, CONNECTED, url)


def run(running: Running, targets: Sequence[str], told: bytes, url: str = "") -> Figures:
    """Until each has been accepted and, with `told`, told so; then all rows are looked for."""
    opened: list[Connection] = []
    waiting: deque[Connection] = deque()
    settle(running)
    usage, began, own = Usage(running.pids), time.perf_counter(), cpu.own()[0]
    try:
        for target in targets:
            if len(waiting) == AT_ONCE:
                _accepted(waiting.popleft(), told)
            waiting.append(Connection(running.port))
            opened.append(waiting[-1])
            waiting[-1].upgrade(target)
        for connection in waiting:
            _accepted(connection, told)
        took, (used, waited) = time.perf_counter() - began, usage.since()
        if url and (rows := ask(url, ROWS)) < len(targets):
            raise Refused(f"of {len(targets)} connections {rows} have a row")
    finally:
        close_all(opened)
    count = len(targets)
    return {
        "rate": count / took,
        "core_rate": count / used,
        "server_us": used / count * 1e6,
        "server_busy": used / took,
        "server_waited": waited / took,
        "generator_busy": (cpu.own()[0] - own) / took,
    }


def _accepted(connection: Connection, told: bytes) -> None:
    connection.upgraded()
    if told:
        connection.next_text(told)


def settle(running: Running) -> None:
    """Returns when what was asked before has been done, or after 20 s."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        usage = Usage(running.pids)
        time.sleep(0.3)
        used, waited = usage.since()
        if used + waited < QUIET * 0.3:
            return


_people: Final = itertools.count()

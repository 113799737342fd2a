"""What a connection that only stays alive weighs."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.generator.connection import close_all, open_many
from benchmarks.peers import PEERS, Peer

from .base import VERSIONS, Figures, Options, Run, Scenario
from .handshakes import settle

CONNECTIONS: Final = {False: 4000, True: 8000}
FIRST: Final = 100
"""They bring what a server loads once."""


class Idle(Scenario):
    name = "idle"
    title = "memory of an idle connection, subscribed to one channel, with its claims"
    short = True
    runs = 1
    connections: ClassVar = CONNECTIONS

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        yield {
            name: partial(_run, PEERS[name](), directory / name, self.connections[options.full])
            for name in chosen
            if name in ("ours", "ws") or (options.full and name == "uws")
        }


def _run(peer: Peer, directory: Path, count: int) -> Figures:
    """In a process of its own, since memory that was used once is not given back."""
    directory.mkdir(exist_ok=True)
    with peer.start(directory) as running:
        VERSIONS[peer.title] = running.version
        people = [(f"news-{number % 100}", f"u{number:06}") for number in range(FIRST + count)]
        targets = [peer.target(running, room, who, "member") for room, who in people]
        opened = open_many(running.port, targets[:FIRST], peer.settle)
        try:
            settle(running)
            before = running.memory()
            opened += open_many(running.port, targets[FIRST:], peer.settle)
            settle(running)
            after = running.memory()
        finally:
            close_all(opened)
    return {"kb": (after - before) / count / 1e3, "server_mb": after / 1e6}

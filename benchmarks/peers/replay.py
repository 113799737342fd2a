"""No server at all: what the load generator could take of one that costs nothing."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from tests.support.servers import ROOT

from .base import Peer, Role, Running, program


class Replay(Peer):
    name = "replay"
    title = "the generator's ceiling"
    lacks: ClassVar = "anything: it sends on what it gets, unread"

    @contextlib.contextmanager
    def start(self, directory: Path) -> Iterator[Running]:
        def command(port: int) -> list[str]:
            return [sys.executable, "-m", "benchmarks.generator.replay", str(port)]

        with program(command, directory, dict(os.environ), ROOT) as started:
            yield Running(started.port, [started.pid], "")

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return f"/publish/{room}" if role == "publisher" else f"/{room}"

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.base import DATA, Peer, Role, Running, program
from tests.support.servers import ROOT

FILL = 90  # its frames name neither id, event, channel nor sender: as much text more


class Tutorial(Peer):
    name = "tutorial"
    title = "the Channels tutorial's chat"
    chunks: ClassVar = {"fanout-1": 32, "fanout-100": 4, "fanout-1000": 1, "rooms": 1}

    @contextlib.contextmanager
    def start(self, directory: Path, redis_url: str = "") -> Iterator[Running]:
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.peers.tutorial.settings",
            "TUTORIAL_REDIS_URL": redis_url,
        }
        with program(
            lambda port: [
                *[sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)],
                "benchmarks.peers.tutorial.asgi:application",
            ],
            directory,
            env,
            ROOT,
        ) as started:
            shown = f"channels {version('channels')}, daphne {version('daphne')}"
            yield Running(started.port, [started.pid], shown)

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return f"/ws/chat/{room}/"

    def echoes(self, role: Role) -> bool:
        return True

    def payload(self, room: str, who: str, data: str = DATA) -> bytes:
        return json.dumps({"message": data + " " * FILL}).encode()

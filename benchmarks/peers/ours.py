"""Ours, as `manage.py serve` runs it, with a token for every connection."""

import contextlib
import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from benchmarks import cpu
from benchmarks.checkouts import CHECKOUT
from benchmarks.generator.connection import Connection
from tests.support.servers import Server, production, start_server, token

from .base import DATA, Peer, Role, Running

OUT_OF_REACH: Final = "100000000"  # frames a second: the limit is checked, but never reached

STARTED: Final[list[Running]] = []
"""All that were started, for those who look at one from outside."""


class Ours(Peer):
    name = "ours"
    title = "ours"
    lacks = ""
    directives: ClassVar[dict[str, Any]] = {
        "subscribe": True,
        "autoSubscribe": True,
        "messages": {"chat": {"publish": True}},
    }

    @contextlib.contextmanager
    def start(self, directory: Path, **env: Any) -> Iterator[Running]:
        with self._server(directory, {"CLIENT_FRAMES_PER_SECOND": OUT_OF_REACH} | env) as server:
            cpu.pin(server.pid, cpu.SERVER)
            version = f"Python {platform.python_version()}"
            STARTED.append(Running(server.port, [server.pid], version, {"server": server}))
            yield STARTED[-1]

    @staticmethod
    def _server(directory: Path, env: dict[str, Any]) -> Server:
        if (checkout := CHECKOUT.get()) is not None:
            return checkout.start(directory, **env)
        return start_server("uvicorn", directory, **production() | env)

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return self.connect(running, uid=who, channels={room: self.directives})

    @staticmethod
    def connect(running: Running, **claims: Any) -> str:
        server = running.keep["server"]
        assert isinstance(server, Server)  # noqa: S101
        return f"/v1?{urlencode({'token': token(server, **claims)})}"

    def settle(self, batch: Sequence[Connection]) -> None:
        for connection in batch:
            connection.next_text(b"hotsock.subscribed")

    def payload(self, room: str, who: str, data: str = DATA) -> bytes:
        frame = {"event": "chat", "channel": room, "data": data}
        return json.dumps(frame, separators=(",", ":")).encode()

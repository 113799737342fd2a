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
from types import FrameType
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


class Supervisor:
    def __init__(
        self,
        listening: socket.socket,
        workers: int,
        command: Command,
        on_started: Callable[[], None],
    ) -> None:
        self._listening = listening
        self._count = workers
        self._command = command
        self._on_started = on_started
        self._workers: list[Worker] = []
        self._signals: list[int] = []  # received and not handled yet
        self._started = False  # all were ready once
        self._spawn_after = 0.0  # on the monotonic clock

    def run(self) -> int:
        """Supervise until a signal to stop, or until the first workers fail; return an exit
        code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._receive_signal)
        while True:
            if self._signals:
                if self._signals.pop(0) != signal.SIGHUP:
                    return self._stop()
                self._reload()
            if not self._maintain():
                self._stop()
                return 1
            time.sleep(POLL_SECONDS)

    def _receive_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _maintain(self) -> bool:
        """Spawn missing workers; False where one of the first died before all were ready."""
        for worker in self._workers:
            worker.poll()
        if not self._reap():
            return False
        while len(self._workers) < self._count and time.monotonic() >= self._spawn_after:
            self._workers.append(self._spawn())
        if not self._started and sum(each.ready for each in self._workers) == self._count:
            self._started = True
            self._on_started()
        return True

    def _reap(self) -> bool:
        """Remove workers that exited; False where one did before all were ready."""
        for worker in [each for each in self._workers if each.exited()]:
            self._workers.remove(worker)
            worker.pair.close()
            if not self._started:
                return False
            log.error("Worker %d exited with %s", worker.process.pid, worker.process.returncode)
            if not worker.ready:
                self._spawn_after = time.monotonic() + RESTART_DELAY_SECONDS
        return True

    def _spawn(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (self._listening.fileno(), theirs.fileno())
        process = subprocess.Popen(  # noqa: S603
            self._command(*descriptors),
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C reaches them through us
        )
        theirs.close()
        log.info("Worker %d started", process.pid)
        return Worker(process, ours)

    def _reload(self) -> None:
        """Replace each worker: the old one ends once the new one is ready."""
        for old in list(self._workers):
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
            self._workers[self._workers.index(old)] = new
            _terminate([old])

    def _stop(self) -> int:
        """Terminate all workers; kill them on another signal or after a timeout."""
        threading.Thread(target=_terminate, args=(self._workers,), daemon=True).start()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while any(not worker.exited() for worker in self._workers):
            if self._signals or time.monotonic() > deadline:
                for worker in self._workers:
                    worker.process.kill()
            time.sleep(POLL_SECONDS)
        return max((abs(worker.process.returncode) for worker in self._workers), default=0)


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


def _terminate(workers: list[Worker]) -> None:
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGTERM)
    for worker in workers:
        worker.process.wait()

"""Several workers that serve from one listening socket: started again where one dies, exchanged one
by one on SIGHUP, stopped together on SIGTERM or SIGINT.

A worker is a program with two more descriptors: the socket, and one end of a pair through which it
says that it is ready, and by whose end it learns that its supervisor is gone.
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
LOOK_SECONDS: Final = 0.1
AGAIN_SECONDS: Final = 1.0  # after one that died before it was ready
READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 12.0  # a worker's own limit is 10

# What runs a worker that is given the descriptors of the socket and of its end of the pair.
Command = Callable[[int, int], list[str]]


@dataclass(eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    pair: socket.socket
    started: float = field(default_factory=time.monotonic)
    ready: bool = False

    def look(self) -> None:
        """Notes what it has said."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self.pair.recv(1) == READY:
                self.ready = True

    def ended(self) -> bool:
        return self.process.poll() is not None


class Supervisor:
    def __init__(
        self, listening: socket.socket, workers: int, command: Command, started: Callable[[], None]
    ) -> None:
        self._listening = listening
        self._wanted = workers
        self._command = command
        self._say_started = started
        self._workers: list[Worker] = []
        self._asked: list[int] = []  # signals
        self._begun = False
        self._start_at = 0.0

    def run(self) -> int:
        """Until it is asked to end, or no worker can be started at all; gives an exit code."""
        for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(asked, self._note)
        while True:
            if self._asked:
                if self._asked.pop(0) != signal.SIGHUP:
                    return self._stop()
                self._exchange()
            if not self._keep():
                self._stop()
                return 1
            time.sleep(LOOK_SECONDS)

    def _note(self, asked: int, frame: FrameType | None) -> None:
        self._asked.append(asked)

    def _keep(self) -> bool:
        """Starts what is missing; False where the first ones died before they were ready."""
        for worker in self._workers:
            worker.look()
        if not self._bury():
            return False
        while len(self._workers) < self._wanted and time.monotonic() >= self._start_at:
            self._workers.append(self._start())
        if not self._begun and len(self._workers) == sum(each.ready for each in self._workers):
            self._begun = True
            self._say_started()
        return True

    def _bury(self) -> bool:
        for worker in [each for each in self._workers if each.ended()]:
            self._workers.remove(worker)
            worker.pair.close()
            if not self._begun:
                return False
            log.error("Worker %d ended with %s", worker.process.pid, worker.process.returncode)
            if not worker.ready:
                self._start_at = time.monotonic() + AGAIN_SECONDS
        return True

    def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (self._listening.fileno(), theirs.fileno())
        process = subprocess.Popen(  # noqa: S603
            self._command(*descriptors),
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C comes through us
        )
        theirs.close()
        log.info("Worker %d started", process.pid)
        return Worker(process, ours)

    def _exchange(self) -> None:
        """A new worker for each, the old one ending when the new one is ready."""
        for old in list(self._workers):
            new = self._start()
            until = time.monotonic() + READY_SECONDS
            while not new.ready and not new.ended() and time.monotonic() < until:
                new.look()
                time.sleep(LOOK_SECONDS)
            if not new.ready:
                log.error("Worker %d was not ready in time; the old ones stay", new.process.pid)
                new.process.kill()
                new.process.wait()
                return
            self._workers[self._workers.index(old)] = new
            _end([old])

    def _stop(self) -> int:
        """Asks all to end; at once where it is asked again."""
        threading.Thread(target=_end, args=(self._workers,), daemon=True).start()
        until = time.monotonic() + STOP_SECONDS
        while any(not worker.ended() for worker in self._workers):
            if self._asked or time.monotonic() > until:
                for worker in self._workers:
                    worker.process.kill()
            time.sleep(LOOK_SECONDS)
        return max((abs(worker.process.returncode) for worker in self._workers), default=0)


def report_to(pair: socket.socket) -> Callable[[], None]:
    """For a worker: what it calls when it is ready. When its supervisor is gone it ends itself."""
    threading.Thread(target=_outlive_not, args=(pair,), name="supervisor", daemon=True).start()
    return lambda: pair.sendall(READY)


def _outlive_not(pair: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while pair.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGTERM)
    for worker in workers:
        worker.process.wait()

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
STOP_TIMEOUT_SECONDS: Final = 9.5  # a worker's own limit is 9

# The command line of a worker with these descriptors of the socket and of its end of the pair.
Command = Callable[[int, int], list[str]]


@dataclass(eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    pair: socket.socket
    ready: bool = field(default=False, init=False)
    asked: bool = field(default=False, init=False)  # to end; asked again, it ends at once

    def poll(self) -> None:
        """Read READY, where it has come."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self.pair.recv(1) == READY:
                self.ready = True

    def exited(self) -> bool:
        return self.process.poll() is not None

    def ask_to_end(self) -> None:
        """At once where it serves nobody yet."""
        if not self.ready:
            self.process.kill()
        elif not self.asked:
            self.process.terminate()
        self.asked = True


@dataclass(eq=False)
class Supervisor:
    listening: socket.socket
    count: int
    command: Command
    on_started: Callable[[], None]
    workers: list[Worker] = field(default_factory=list, init=False)
    stops: int = field(default=0, init=False)  # signals to stop that came
    reload: bool = field(default=False, init=False)  # SIGHUP came
    started: bool = field(default=False, init=False)  # all were ready once
    spawn_after: float = field(default=0.0, init=False)  # on the monotonic clock

    def run(self) -> int:
        """Supervise until a signal to stop or a failed start; return an exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)
        while True:
            if self.stops:
                return self._stop()
            if self.reload:
                self.reload = False
                self._reload()
            if not self._maintain():
                self._stop()
                return 1
            time.sleep(POLL_SECONDS)

    def _note(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stops += 1

    def _maintain(self) -> bool:
        """Replace workers that exited; False where one did before all were ready."""
        for worker in list(self.workers):
            worker.poll()
            if worker.exited():
                if not self.started:
                    return False
                self._forget(worker)
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
        """Replace each worker."""
        for old in list(self.workers):
            if not self._exchange(old):
                return

    def _exchange(self, old: Worker) -> bool:
        """The old one ends once a new one is ready. Gives whether it did so, and nobody has told us
        to stop meanwhile."""
        new = self._spawn()
        self.workers.append(new)
        self._wait(lambda: new.ready or new.exited(), READY_TIMEOUT_SECONDS, new)
        if not (new.ready or self.stops):
            log.error("Worker %d was not ready in time; the old ones stay", new.process.pid)
            self._end(new)
        if not new.ready or self.stops:
            return False
        old.ask_to_end()
        if not self._wait(old.exited, STOP_TIMEOUT_SECONDS, new) and not self.stops:
            log.error("Worker %d did not end in time and is killed", old.process.pid)
        if self.stops:
            return False
        self._end(old)
        return True

    def _end(self, worker: Worker) -> None:
        worker.process.kill()
        worker.process.wait()
        self._forget(worker)

    def _wait(self, done: Callable[[], bool], seconds: float, starting: Worker) -> bool:
        """Whether it is done within so many seconds, and nobody has told us to stop meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stops:
            starting.poll()
            if done():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _forget(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.pair.close()

    def _stop(self) -> int:
        """Terminate all workers; kill them on another signal or after a timeout."""
        before = self.stops
        for worker in self.workers:
            worker.ask_to_end()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while any(not worker.exited() for worker in self.workers):
            if self.stops > before or time.monotonic() > deadline:
                for worker in self.workers:
                    worker.process.kill()
            time.sleep(POLL_SECONDS)
        codes = (abs(worker.process.returncode) for worker in self.workers if worker.ready)
        return max(codes, default=0)


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

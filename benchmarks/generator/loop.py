"""Runs rooms for a while and says what it measured."""

import gc
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .connection import Connection, Refused
from .rooms import Room

DRAIN_SECONDS: Final = 20
SLOW_SECONDS: Final = 15
WAVES: Final = 3
"""How many chunks of each room a run takes at the least, within SLOW_SECONDS."""


@dataclass
class Measured:
    """`seconds` are of the clock; CPU is in seconds of the server's processes and of ours."""

    deliveries: int
    messages: int
    seconds: float
    server_cpu: float
    generator_cpu: float
    chunk_seconds: list[float] = field(repr=False)
    extra_cpu: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.deliveries / self.seconds

    @property
    def server_us(self) -> float:
        """Microseconds of server CPU a delivery."""
        return self.server_cpu / self.deliveries * 1e6

    @property
    def generator_us(self) -> float:
        return self.generator_cpu / self.deliveries * 1e6

    @property
    def server_busy(self) -> float:
        return self.server_cpu / self.seconds

    @property
    def generator_busy(self) -> float:
        return self.generator_cpu / self.seconds


class Loop:
    def __init__(self, rooms: Sequence[Room]) -> None:
        self.rooms = rooms
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        for room in rooms:
            self._connections |= {each.fileno: each for each in (*room.publishers, *room.members)}
        for fileno in self._connections:
            self._poll.register(fileno, select.EPOLLIN)

    def run_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Whether `done()` came before the deadline, a time of `time.perf_counter`."""
        while not done():
            if time.perf_counter() >= deadline:
                return False
            self._turn()
        return True

    def run_for(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self._turn()

    def _turn(self) -> None:
        connections = self._connections
        for fileno, _ in self._poll.poll(0.1):
            connection = connections[fileno]
            connection.read()
            if connection.texts >= connection.due:
                connection.room.reached(connection)  # type: ignore[attr-defined]

    def drain(self) -> None:
        """Sends no more and waits for what is on its way; Refused where something was lost."""
        for room in self.rooms:
            room.open = False
        deadline = time.perf_counter() + DRAIN_SECONDS
        self.run_until(lambda: all(room.done == room.sent for room in self.rooms), deadline)
        for room in self.rooms:
            if (wrong := room.wrong()) is not None:
                raise Refused(wrong)

    def close(self) -> None:
        self._poll.close()


def _done(rooms: Sequence[Room]) -> int:
    return sum(room.done for room in rooms)


def measure(
    rooms: Sequence[Room], cpu: Callable[[], float], *, warm: float, seconds: float
) -> Measured:
    """`cpu()` are the seconds that the server has used so far."""
    loop = Loop(rooms)
    gc.collect()
    gc.disable()
    try:
        for room in rooms:
            room.start()
        loop.run_for(warm)
        for room in rooms:
            room.seconds.clear()
        began, served, own = time.perf_counter(), cpu(), time.process_time()
        before, done = sum(room.deliveries for room in rooms), _done(rooms)
        loop.run_for(seconds)
        enough = done + WAVES * len(rooms)  # else a slow server's waves are cut anywhere
        loop.run_until(lambda: _done(rooms) >= enough, began + SLOW_SECONDS)
        took, served, own = (
            time.perf_counter() - began,
            cpu() - served,
            time.process_time() - own,
        )
        delivered = sum(room.deliveries for room in rooms) - before
        chunks = _done(rooms) - done
        times = [each for room in rooms for each in room.seconds]
        loop.drain()
    finally:
        gc.enable()
        loop.close()
    if not delivered:
        raise Refused("nothing was delivered")
    messages = chunks * rooms[0].chunk
    return Measured(delivered, messages, took, served, own, times)

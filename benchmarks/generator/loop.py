"""Runs rooms for a while and says what it measured."""

import gc
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks import cpu

from .connection import Connection, Refused
from .rooms import Room

DRAIN_SECONDS: Final = 20
SLOW_SECONDS: Final = 15
WAVES: Final = 3
"""How many chunks of each room a run takes at the least, within SLOW_SECONDS."""


@dataclass
class Measured:
    """`seconds` are of the clock; CPU is in seconds of the server's processes and of ours, and so
    is what they waited for their core, which other work on the machine had."""

    deliveries: int
    messages: int
    seconds: float
    server_cpu: float
    generator_cpu: float
    server_waited: float
    generator_waited: float
    chunk_seconds: list[float] = field(repr=False)
    server_writes: int = 0  # system calls that the kernel counts as such: not uWebSockets' send()
    sizes: tuple[int, int] = (0, 0)  # bytes on the wire: of a frame sent, of a delivery
    by_process: dict[int, float] = field(default_factory=dict)  # of server_cpu
    server_kernel: float = 0.0  # of server_cpu, the seconds within the kernel

    def figures(self) -> dict[str, float]:
        """All that a row keeps of a run; `server_us` is the server's CPU time of a delivery."""
        figures = {
            "rate": self.deliveries / self.seconds,
            "messages": self.messages / self.seconds,
            "server_us": self.server_cpu / self.deliveries * 1e6,
            "kernel_us": self.server_kernel / self.deliveries * 1e6,
            "generator_us": self.generator_cpu / self.deliveries * 1e6,
            "server_busy": self.server_cpu / self.seconds,
            "generator_busy": self.generator_cpu / self.seconds,
            "server_waited": self.server_waited / self.seconds,
            "generator_waited": self.generator_waited / self.seconds,
            "ceiling": self.deliveries / self.generator_cpu,
            "sent_bytes": self.sizes[0],
            "delivered_bytes": self.sizes[1],
        }
        if self.server_writes:
            figures["writes"] = self.server_writes / self.deliveries
        if self.messages:
            figures["server_us_message"] = self.server_cpu / self.messages * 1e6
        return figures | percentiles(self.chunk_seconds)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        f"p{share}_ms": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1e3
        for share in (50, 99)
    }


class Loop:
    """`rest`: seconds before each look at what has come, so that a read finds more of it."""

    def __init__(self, rooms: Sequence[Room], rest: float = 0.0) -> None:
        self.rooms = rooms
        self._rest = rest
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
        if self._rest:
            time.sleep(self._rest)
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


@dataclass
class Usage:
    """CPU seconds since it was made, used and waited for: of processes and their children, or of
    this process alone. What a child had used before does not count where it ends meanwhile."""

    pids: Sequence[int] | None

    def __post_init__(self) -> None:
        self._before = self._now()

    def since(self) -> tuple[float, float]:
        used, waited = (
            sum(seconds - before.get(pid, 0.0) for pid, seconds in now.items())
            for before, now in zip(self._before, self._now(), strict=True)
        )
        return used, waited

    def _now(self) -> tuple[dict[int, float], dict[int, float]]:
        if self.pids is None:
            used, waited = cpu.own()
            return {0: used}, {0: waited}
        return cpu.by_process(self.pids), cpu.by_process(self.pids, waited=True)


def measure(
    rooms: Sequence[Room], pids: Sequence[int], *, warm: float, seconds: float, rest: float = 0.0
) -> Measured:
    """`pids` are the processes of the server."""
    loop = Loop(rooms, rest)
    gc.collect()
    gc.disable()
    try:
        for room in rooms:
            room.start()
        loop.run_for(warm)
        for room in rooms:
            room.seconds.clear()
        each = {pid: Usage([pid]) for pid in pids}
        own, began = Usage(None), time.perf_counter()
        writes, kernel = cpu.writes(pids), cpu.kernel(pids)
        before, done = sum(room.deliveries for room in rooms), _done(rooms)
        loop.run_for(seconds)
        enough = done + WAVES * len(rooms)  # else a slow server's waves are cut anywhere
        loop.run_until(lambda: _done(rooms) >= enough, began + SLOW_SECONDS)
        took = time.perf_counter() - began
        used = {pid: usage.since() for pid, usage in each.items()}
        own_cpu, own_waited = own.since()
        writes, kernel = cpu.writes(pids) - writes, cpu.kernel(pids) - kernel
        delivered = sum(room.deliveries for room in rooms) - before
        chunks = _done(rooms) - done
        times = [each for room in rooms for each in room.seconds]
        loop.drain()
    finally:
        gc.enable()
        loop.close()
    if not delivered:
        raise Refused("nothing was delivered")
    messages = chunks * rooms[0].chunk * len(rooms[0].publishers)
    return Measured(
        delivered,
        messages,
        took,
        sum(busy for busy, _ in used.values()),
        own_cpu,
        sum(waited for _, waited in used.values()),
        own_waited,
        times,
        writes,
        rooms[0].sizes,
        {pid: busy for pid, (busy, _) in used.items()},
        kernel,
    )

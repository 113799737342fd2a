"""One server process as a queue, with its database, Redis and another process beside it.

The event loop's turn takes all that has come since the last one; so does the writer with its
batches, and the wire with what it tells the others. What one thing costs is in `Units`. Times are
in microseconds. A process has one core, which its writer shares with its loop.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.points import Point

MESSAGES: Final = 3000
MAX_BATCH: Final = 500  # chat/delivery/writer.py
CLIENT: Final = 40.0  # from a client's last delivery to its next chunk, and in the network
WAKE: Final = 80.0  # until a program that has waited runs: what comes meanwhile it takes, too
NEAR, FAR = 30, 300  # connections that one turn's deliveries stay near to, or do not


@dataclass
class Units:
    """Microseconds of CPU, of the server where nothing else is said."""

    read: float = 0  # what has come of one client, however many frames
    publish: float = 0  # a frame parsed, allowed and encoded
    near: float = 0  # a delivery, among few connections
    far: float = 0  # a delivery, among many: each is cold in the caches
    sqlite_batch: float = 0
    sqlite_row: float = 0
    postgres_batch: float = 0
    postgres_row: float = 0
    postgres_own_batch: float = 0  # PostgreSQL's own
    postgres_own_row: float = 0
    tell: float = 0  # a round trip to Redis
    told: float = 0  # a message in it
    wake: float = 0  # of a process that hears from Redis
    hear: float = 0  # a message of Redis
    heard: float = 0  # an announcement in it

    def deliver(self, connections: int) -> float:
        """One delivery, where so many connections are in use."""
        share = min(max((connections - NEAR) / (FAR - NEAR), 0.0), 1.0)
        return self.near + (self.far - self.near) * share


@dataclass
class Result:
    messages: int
    used: dict[str, float]
    took: float
    batches: int = 0
    told: int = 0  # round trips to Redis
    latencies: list[float] = field(default_factory=list)

    @property
    def costs(self) -> dict[str, float]:
        """CPU a message, by program."""
        return {program: used / self.messages for program, used in self.used.items()}

    def late(self, share: float) -> float:
        """Microseconds within which that share of the messages were delivered."""
        return sorted(self.latencies)[int(len(self.latencies) * share)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time, next(self._order), do))

    def run(self, until: Callable[[], bool]) -> None:
        while self._due and not until():
            self.now, _, do = heapq.heappop(self._due)
            do()


class Core:
    """One thing after another; adds up what a program has used."""

    def __init__(self, clock: Clock, program: str, used: dict[str, float]) -> None:
        self._clock = clock
        self._program = program
        self._used = used
        self._free = 0.0
        used[program] = 0.0

    def work(self, cost: float, then: Callable[[], None]) -> None:
        self._used[self._program] += cost
        self._free = max(self._free, self._clock.now) + cost
        self._clock.at(self._free, then)


class Station:
    """Takes all that waits, up to a limit, and the next when it has done with that."""

    def __init__(
        self, clock: Clock, serve: Callable[[list[Any], Callable[[], None]], None]
    ) -> None:
        self._clock = clock
        self._serve = serve
        self._waiting: list[Any] = []
        self._busy = False

    def put(self, *things: Any) -> None:
        self._waiting += things
        if self._waiting and not self._busy:
            self._busy = True
            self._clock.at(self._clock.now + WAKE, self._next)

    def _next(self) -> None:
        taken, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._busy = bool(taken)
        if taken:
            self._serve(taken, self._next)


@dataclass
class Message:
    room: int
    began: float
    first: bool = True  # of those that came together
    committed: bool = False


class Simulation:
    """A site under the load of a point; `done` is told of each message that has been delivered."""

    def __init__(self, point: Point, units: Units, done: Callable[[Message], None]) -> None:
        self.clock = Clock()
        self.result = Result(0, {}, 0)
        self._point, self._units, self._done = point, units, done
        self._server, self._other, self._postgres, self._redis = (
            Core(self.clock, program, self.result.used)
            for program in ("server", "other", "postgres", "redis")
        )
        self.loop = Station(self.clock, self._turn)
        self._writer = Station(self.clock, self._commit)
        self._wire = Station(self.clock, self._tell)
        self._elsewhere = Station(self.clock, self._hear)
        self._deliver = point.receivers * units.deliver(point.receivers * point.rooms)

    def _turn(self, messages: list[Message], then: Callable[[], None]) -> None:
        units, stored = self._units, self._point.stored
        fresh = [message for message in messages if not message.committed]
        ready = [message for message in messages if message.committed or not stored]
        cost = len(fresh) * units.publish + sum(each.first for each in fresh) * units.read
        if not self._point.across:
            cost += len(ready) * self._deliver

        def end() -> None:
            if stored:
                self._writer.put(*fresh)
            if self._point.database == "postgres":
                self._wire.put(*ready)
            if not self._point.across:
                self._delivered(ready)
            then()

        self._server.work(cost, end)

    def _commit(self, messages: list[Message], then: Callable[[], None]) -> None:
        units, count = self._units, len(messages)
        self.result.batches += 1

        def end() -> None:
            for message in messages:
                message.committed = True
            self.loop.put(*messages)
            then()

        if self._point.database == "sqlite":
            self._server.work(units.sqlite_batch + count * units.sqlite_row, end)
        else:
            own = units.postgres_own_batch + count * units.postgres_own_row
            cost = units.postgres_batch + count * units.postgres_row
            self._server.work(cost, lambda: self._postgres.work(own, end))

    def _tell(self, messages: list[Message], then: Callable[[], None]) -> None:
        units = self._units
        self.result.told += 1
        groups: dict[int, list[Message]] = {}
        for message in messages:
            groups.setdefault(message.room, []).append(message)

        def sent() -> None:
            if self._point.across:
                self._elsewhere.put(*groups.values())
            then()

        def leave() -> None:
            self.clock.at(self.clock.now + CLIENT, sent)

        self._server.work(units.tell + len(messages) * units.told, leave)

    def _hear(self, groups: list[list[Message]], then: Callable[[], None]) -> None:
        units, messages = self._units, [message for group in groups for message in group]
        cost = units.wake + len(groups) * units.hear
        cost += len(messages) * (units.heard + self._deliver)

        def end() -> None:
            self._delivered(messages)
            then()

        self._other.work(cost, end)

    def _delivered(self, messages: list[Message]) -> None:
        for message in messages:
            self.result.messages += 1
            self.result.latencies.append(self.clock.now - message.began)
            self._done(message)


def closed_loop(point: Point, units: Units, messages: int = MESSAGES) -> Result:
    """Each room's publisher sends its next chunk when the last one has been delivered."""
    left = dict.fromkeys(range(point.rooms), 0)

    def publish(room: int) -> None:
        left[room] = point.chunk
        now = simulation.clock.now
        simulation.loop.put(*(Message(room, now, not number) for number in range(point.chunk)))

    def done(message: Message) -> None:
        left[message.room] -= 1
        if not left[message.room]:
            simulation.clock.at(simulation.clock.now + CLIENT, lambda: publish(message.room))

    simulation = Simulation(point, units, done)
    for room in range(point.rooms):
        publish(room)
    result = simulation.result
    simulation.clock.run(lambda: result.messages >= messages)
    result.took = simulation.clock.now
    return result


def open_loop(point: Point, units: Units, rate: float, messages: int = 20_000) -> Result:
    """Messages come at random, `rate` a second in all, whatever has become of those before."""
    chance = random.Random(1)  # noqa: S311
    simulation = Simulation(point, units, lambda message: None)

    def publish() -> None:
        now = simulation.clock.now
        simulation.loop.put(Message(chance.randrange(point.rooms), now))
        simulation.clock.at(now + chance.expovariate(rate / 1e6), publish)

    publish()
    result = simulation.result
    simulation.clock.run(lambda: result.messages >= messages)
    result.took = simulation.clock.now
    return result

"""One server process as a queue, with its database, Redis and another process beside it.

The event loop's turn takes all that has come since the last one, and writes once to each socket;
so does the writer with its batches, and the wire with what it tells the others. What is counted
here costs what `Units` say. Times are in microseconds. All have one core, as where it was measured.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.points import Point

MESSAGES: Final = 4000
WAVES: Final = 15
MAX_BATCH: Final = 500  # chat/store/writer.py
CLIENT: Final = 8.0  # of the clients, for each chunk that they send, one after another
WAKE: Final = 40.0  # until a program that has waited runs: what comes meanwhile it takes, too
SWITCH: Final = 700.0  # about when the writer gets the interpreter from a loop that goes on
NEAR, FAR = 100, 1000  # connections that are found in the caches, or are not

Units = dict[str, float]
"""Microseconds of CPU of one of each:

`turn` of an event loop, `read` of a socket, `frame` parsed, allowed and encoded, `write` to a
socket, `delivery` in it, and what these take more where they are `far`, among many; `commit`, `row`
and `channel` of a database, `own` where they are its own process's; `tell`, a round trip to Redis,
with each `group` (a channel) and `message` in it; the same of `redis`, and of `hear`, in a process
that listens.
"""


@dataclass
class Result:
    """What happened until so many messages were delivered: program -> unit -> how often."""

    messages: int = 0
    happened: dict[str, Counter[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def counts(self, program: str) -> Units:
        """A message."""
        return {unit: count / self.messages for unit, count in self.happened[program].items()}

    def late(self, share: float) -> float:
        """Microseconds within which that share of the messages were delivered."""
        return sorted(self.latencies)[int(len(self.latencies) * share)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, pause: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + pause, next(self._order), do))

    def run(self, until: Callable[[], bool]) -> None:
        while self._due and not until():
            self.now, _, do = heapq.heappop(self._due)
            do()


class Station:
    """Takes all that waits, up to a limit, and the next when it has done with that."""

    def __init__(
        self,
        clock: Clock,
        serve: Callable[[list[Any], Callable[[], None]], None],
        limit: int = 1 << 30,
    ) -> None:
        self._clock = clock
        self._serve = serve
        self._limit = limit
        self._waiting: list[Any] = []
        self._waking = False
        self.busy = False

    def put(self, things: list[Any], pause: float = WAKE) -> None:
        self._waiting += things
        if self._waiting and not self.busy and not self._waking:
            self._waking = True
            self._clock.after(pause, self.wake)

    def wake(self) -> None:
        """At once, if it was to be woken later."""
        if self._waking:
            self._waking = False
            self._next()

    def rest(self, pause: float) -> None:
        """Instead of taking the next at once, where it has done with some."""
        self.busy = False
        self.put([], pause)

    def _next(self) -> None:
        taken, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
        self.busy = bool(taken)
        if taken:
            self._serve(taken, self._next)


@dataclass(eq=False)
class Message:
    room: int
    publisher: int
    began: float
    committed: bool = False


class Simulation:
    """A site under the load of a point; `done` is told of each message that has been delivered."""

    def __init__(self, point: Point, units: Units, done: Callable[[Message], None]) -> None:
        self.clock = Clock()
        self._free = 0.0  # when the core is
        self.result = Result()
        self._point, self._units, self._done = point, units, done
        self._chance = random.Random(1)  # noqa: S311
        many = (point.members * point.rooms - NEAR) / (FAR - NEAR)
        self._far = min(max(many, 0.0), 1.0)
        self.loop = Station(self.clock, self._turn)
        self._writer = Station(self.clock, self._commit, MAX_BATCH)
        self._wire = Station(self.clock, self._tell)
        self._elsewhere = Station(self.clock, self._hear)
        for program in ("server", "other", "postgres", "redis"):
            self.result.happened[program] = Counter()

    def _work(self, program: str, then: Callable[[], None], **happened: float) -> None:
        self.result.happened[program].update(happened)  # type: ignore[arg-type]
        cost = sum(self._units.get(unit, 1.0) * count for unit, count in happened.items())
        self._free = max(self._free, self.clock.now) + cost
        self.clock.after(self._free - self.clock.now, then)

    def _turn(self, messages: list[Message], then: Callable[[], None]) -> None:
        stored = bool(self._point.database)
        fresh = [message for message in messages if not message.committed]
        ready = [message for message in messages if message.committed or not stored]
        here = [] if self._point.across else ready
        reads = len({message.publisher for message in fresh})
        writes = 1 if stored else len({message.publisher for message in here})

        def end() -> None:
            if self._point.across:
                self._wire.put(ready)
            if stored:
                self._writer.put(fresh, self._chance.expovariate(1 / SWITCH))
            self._delivered(here)
            then()
            if not self.loop.busy:
                self._writer.wake()

        counts = {"turn": 1, "read": reads, "far read": reads * self._far, "frame": len(fresh)}
        self._work("server", end, **counts, **self._written(here, writes))

    def _written(self, messages: list[Message], publishers: int) -> Units:
        """Each socket is written to once, with all that there is for it."""
        hearers = self._point.hearers
        writes = publishers * hearers if messages else 0
        happened = {"write": writes, "delivery": len(messages) * hearers}
        return happened | {f"far {each}": count * self._far for each, count in happened.items()}

    def _commit(self, messages: list[Message], then: Callable[[], None]) -> None:
        kind = self._point.database
        units = {"commit": 1, "row": len(messages)}
        units["channel"] = len({message.publisher % self._point.channels for message in messages})

        def end() -> None:
            for message in messages:
                message.committed = True
            self.loop.put(messages, 0)
            self._writer.rest(self._chance.expovariate(1 / SWITCH))

        def flush() -> None:
            if kind == "SQLite":
                end()
            else:
                self._work("postgres", end, **{f"own {unit}": n for unit, n in units.items()})

        self._work("server", flush, **{f"{kind} {unit}": n for unit, n in units.items()})

    def _tell(self, messages: list[Message], then: Callable[[], None]) -> None:
        groups: dict[int, list[Message]] = {}
        for message in messages:
            groups.setdefault(message.room, []).append(message)
        counts = {" group": len(groups), " message": len(messages)}

        def pass_on() -> None:
            redis = {f"redis{each}": count for each, count in counts.items()}
            self._work("redis", sent, redis=1, **redis)

        def sent() -> None:
            self._elsewhere.put(list(groups.values()))
            self.clock.after(WAKE, answered)

        def answered() -> None:
            self._work("server", read_more, **{"tell": 1, "tell group": len(groups)})

        def read_more() -> None:
            """What has come meanwhile is told with what waits."""
            self.loop.wake()
            self._work("server", then)

        self._work("server", pass_on, **{"tell message": len(messages)})

    def _hear(self, groups: list[list[Message]], then: Callable[[], None]) -> None:
        messages = [message for group in groups for message in group]

        def end() -> None:
            self._delivered(messages)
            then()

        counts = {"": 1, " group": len(groups), " message": len(messages)}
        heard = {f"hear{each}": n for each, n in counts.items()}
        self._work("other", end, **heard, **self._written(messages, len(groups)))

    def _delivered(self, messages: list[Message]) -> None:
        for message in messages:
            self.result.messages += 1
            self.result.latencies.append(self.clock.now - message.began)
            self._done(message)


class Clients:
    """One process, as the load generator is: each wave of a room's chunks goes out when the one
    `ahead` of it has been delivered, one chunk after another."""

    def __init__(self, point: Point, units: Units) -> None:
        self._point = point
        self._free = 0.0
        self._left: list[list[int]] = [[] for _ in range(point.rooms)]
        self.simulation = Simulation(point, units, self._done)
        for room in range(point.rooms):
            for _ in range(point.ahead):
                self._send(room)

    def _send(self, room: int) -> None:
        clock, speakers = self.simulation.clock, self._point.speakers
        self._left[room].append(speakers * self._point.chunk)
        for number in range(room * speakers, (room + 1) * speakers):
            self._free = max(self._free, clock.now) + CLIENT
            chunk = [Message(room, number, self._free) for _ in range(self._point.chunk)]
            clock.after(self._free - clock.now, lambda c=chunk: self.simulation.loop.put(c))  # type: ignore[misc]

    def _done(self, message: Message) -> None:
        waves = self._left[message.room]
        waves[0] -= 1
        if not waves[0]:
            del waves[0]
            self._send(message.room)


def closed_loop(point: Point, units: Units, messages: int = MESSAGES) -> Result:
    clients = Clients(point, units)
    result = clients.simulation.result
    messages = max(messages, WAVES * point.rooms * point.speakers * point.chunk)
    clients.simulation.clock.run(lambda: result.messages >= messages)
    return result


def open_loop(point: Point, units: Units, rate: float, messages: int = 20_000) -> Result:
    """Messages come at random, `rate` a second in all, whatever has become of those before."""
    chance = random.Random(1)  # noqa: S311
    simulation = Simulation(point, units, lambda message: None)

    def publish() -> None:
        room = chance.randrange(point.rooms)
        simulation.loop.put([Message(room, room, simulation.clock.now)])
        simulation.clock.after(chance.expovariate(rate / 1e6), publish)

    publish()
    result = simulation.result
    simulation.clock.run(lambda: result.messages >= messages)
    return result

"""What sites of 10 thousand, 1 million and 10 million connections need, by the unit costs.

The sums take each thing as if it came alone, which is the most that it can cost: what comes
together shares turns, round trips and commits.
"""

import math
from dataclasses import dataclass
from typing import Final

from benchmarks.fit import Costs
from benchmarks.points import ACROSS, Point
from benchmarks.queueing import Units, open_loop

SIZES: Final = (10_000, 1_000_000, 10_000_000)
MEMBERS: Final = 10  # of a channel; a connection is in one
STORED_A_MINUTE: Final = 1  # of a connection
PASSING_A_MINUTE: Final = 2
SESSION_SECONDS: Final = 900
BUSY: Final = 0.5  # of a core: what is left takes a reconnect of all, and keeps queues short
HEAD_CHECK_SECONDS: Final = 25  # chat/delivery/outside.py
LEASE_RENEWAL_SECONDS: Final = 3


@dataclass
class Site:
    """A site of so many connections; costs in microseconds of CPU."""

    connections: int
    processes: int
    units: Units
    costs: Costs

    @property
    def stored(self) -> float:
        """Messages a second."""
        return self.connections * STORED_A_MINUTE / 60

    @property
    def messages(self) -> float:
        return self.connections * (STORED_A_MINUTE + PASSING_A_MINUTE) / 60

    @property
    def arrivals(self) -> float:
        """Handshakes a second, and as many ends."""
        return self.connections / SESSION_SECONDS

    @property
    def hearing(self) -> float:
        """In how many other processes a message is heard, on average."""
        others = self.processes - 1
        return others * (1 - (1 - 1 / self.processes) ** (MEMBERS - 1))

    @property
    def cpu(self) -> float:
        """Cores, of all processes together."""
        units, across = self.units, self.processes > 1
        publishing = units.read + units.publish + (units.tell + units.told if across else 0)
        hearing = self.hearing * (units.wake + units.hear + units.heard)
        message = publishing + hearing + (MEMBERS - 1) * units.far
        storing = units.postgres_batch + units.postgres_row
        each = self.messages * message + self.stored * storing + self.arrivals * self._visit()
        resting = self.connections * self.costs["an idle connection, each second"]["server"]
        processes = self.processes * self.costs["an idle process, each second"]["server"]
        return (each + resting + processes) / 1e6

    def _visit(self) -> float:
        kinds = ("a handshake", "a subscription", "an end")
        return sum(self.costs[f"{kind}, PostgreSQL"]["server"] for kind in kinds)

    @property
    def redis(self) -> float:
        """Cores of Redis."""
        if self.processes == 1:
            return 0.0
        alone = self.costs[Point(1, **ACROSS).name]["redis"]
        more = max(self.hearing - 1, 0) * self.costs["PUBLISH in Redis"]["each more"]
        return self.messages * (alone + more) / 1e6

    @property
    def postgres(self) -> float:
        """Cores of PostgreSQL for stored messages."""
        return self.stored * (self.units.postgres_own_batch + self.units.postgres_own_row) / 1e6

    @property
    def row_writes(self) -> float:
        """Rows a second: a message and its channel's head; a connection and its subscription, made
        and removed; leases."""
        leases = self.processes / LEASE_RENEWAL_SECONDS
        return 2 * self.stored + 4 * self.arrivals + leases


def site(connections: int, units: Units, costs: Costs) -> Site:
    """With as many processes as it needs to keep each at BUSY of its core."""
    found = Site(connections, 1, units, costs)
    while (needed := math.ceil(found.cpu / BUSY)) > found.processes:
        found.processes = needed
    return found


def show(units: Units, costs: Costs) -> None:
    sites = [site(size, units, costs) for size in SIZES]
    kib = costs["an idle connection, each second"]["KiB"]
    rows = {
        "connections": [each.connections for each in sites],
        "messages a second": [each.messages for each in sites],
        "deliveries a second": [each.messages * (MEMBERS - 1) for each in sites],
        "handshakes a second": [each.arrivals for each in sites],
        "cores of the server": [each.cpu for each in sites],
        "processes, half busy": [each.processes for each in sites],
        "connections a process": [each.connections / each.processes for each in sites],
        "memory for connections, GiB": [each.connections * kib / 1024**2 for each in sites],
        "processes that hear a message": [each.hearing for each in sites],
        "cores of Redis": [each.redis for each in sites],
        "Redis shards, half busy": [math.ceil(each.redis / BUSY) for each in sites],
        "stored messages a second": [each.stored for each in sites],
        "rows written a second": [each.row_writes for each in sites],
        "cores of PostgreSQL, messages": [each.postgres for each in sites],
        "heads read a second": [each.connections / HEAD_CHECK_SECONDS for each in sites],
    }
    for what, figures in rows.items():
        print(f"{what:<32}" + "".join(f"{_short(figure):>14}" for figure in figures))
    print()
    _show_one_process(units)


def _show_one_process(units: Units) -> None:
    """How long a message takes in a process that is so busy: not stored, to 9 of its own."""
    point = Point(MEMBERS - 1, rooms=100)
    one = units.read + units.publish + point.receivers * units.far
    print("a process that is at   messages/s  half are there in     99 % in")
    for share in (0.25, 0.5, 0.75, 0.9):
        rate = share * 1e6 / one
        result = open_loop(point, units, rate)
        half, most = result.late(0.5) / 1000, result.late(0.99) / 1000
        print(f"{share:>14.0%} of a core{rate:>11,.0f}{half:>16.2f} ms{most:>10.2f} ms")


def _short(figure: float) -> str:
    """Two digits are true at most."""
    return f"{figure:,.0f}" if figure >= 10 or figure == int(figure) else f"{figure:.2g}"

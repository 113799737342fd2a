"""What sites of 10 thousand, 1 million and 10 million connections need, by the unit costs.

The sums take each thing as if it came alone, which is the most that it can cost: what comes
together shares turns, round trips and commits.
"""

import math
from dataclasses import dataclass
from typing import Final

from benchmarks.points import CROWDS, RESTING, TOGETHER, Costs, idle_of, visits_of
from benchmarks.queueing import Units

SIZES: Final = (10_000, 1_000_000, 10_000_000)
MEMBERS: Final = 10  # of a channel; a connection is in one
STORED_A_MINUTE: Final = 1  # of a connection
PASSING_A_MINUTE: Final = 2
SESSION_SECONDS: Final = 900
BUSY: Final = 0.5  # of a core: what is left takes a reconnect of all, and keeps queues short
HEAD_CHECK_SECONDS: Final = 25  # chat/runtime/recurring.py
LEASE_RENEWAL_SECONDS: Final = 3
COMMITS_A_VISIT: Final = 3  # the connection, its subscription, its end


def publishing(units: Units) -> float:
    return sum(units[name] for name in ("turn", "read", "frame"))


def telling(units: Units) -> float:
    return sum(units[name] for name in ("tell", "tell group", "tell message"))


def hearing(units: Units) -> float:
    return sum(units[name] for name in ("hear", "hear group", "hear message"))


def delivering(units: Units) -> float:
    """To one of many connections."""
    return sum(units[f"{far}{name}"] for name in ("write", "delivery") for far in ("", "far "))


def storing(units: Units, database: str = "PostgreSQL") -> float:
    """A message that is alone in its commit; "own": of PostgreSQL itself."""
    return sum(units[f"{database} {name}"] for name in ("commit", "row", "channel"))


def visiting(costs: dict[str, Costs], program: str = "server") -> float:
    """Coming, subscribing and going."""
    came = costs[visits_of(TOGETHER[0], "PostgreSQL")]
    return came[program] + costs["ends, all together, PostgreSQL"][program]


@dataclass
class Site:
    """A site of so many connections; costs in microseconds of CPU."""

    connections: int
    processes: int
    units: Units
    costs: dict[str, Costs]

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
    def parts(self) -> dict[str, float]:
        """Cores, of all processes together, by what is done."""
        units, costs = self.units, self.costs
        idle, rest = costs[idle_of(CROWDS[-1])]["server"], costs[RESTING]["server"]
        telling_all = telling(units) if self.processes > 1 else 0.0
        parts = {
            "hearing of other processes' messages": self.messages * self.hearing * hearing(units),
            "telling other processes": self.messages * telling_all,
            "deliveries": self.messages * (MEMBERS - 1) * delivering(units),
            "what clients send": self.messages * publishing(units),
            "storing": self.stored * (storing(units) + units["turn"]),
            "handshakes, subscriptions, ends": self.arrivals * visiting(costs),
            "idle connections": self.connections * idle,
            "processes at rest": self.processes * rest,
        }
        return {what: microseconds / 1e6 for what, microseconds in parts.items()}

    @property
    def cpu(self) -> float:
        return sum(self.parts.values())

    @property
    def redis(self) -> float:
        """Cores of Redis."""
        return self.messages * redis(self.units, self.costs, self.hearing) / 1e6

    @property
    def postgres(self) -> float:
        """Cores of PostgreSQL."""
        visits = self.arrivals * visiting(self.costs, "postgres")
        rest = self.processes * self.costs[RESTING]["postgres"] / 2  # it was measured beside two
        return (self.stored * storing(self.units, "own") + visits + rest) / 1e6

    @property
    def commits(self) -> float:
        """A second, each thing in one of its own."""
        return (
            self.stored + COMMITS_A_VISIT * self.arrivals + self.processes / LEASE_RENEWAL_SECONDS
        )

    @property
    def row_writes(self) -> float:
        """Rows a second: a message and its channel's head; a connection and its subscription, made
        and removed; leases."""
        leases = self.processes / LEASE_RENEWAL_SECONDS
        return 2 * self.stored + 4 * self.arrivals + leases


def redis(units: Units, costs: dict[str, Costs], heard: float) -> float:
    """Of a message that so many other processes hear; it was measured with one."""
    if not heard:
        return 0.0
    alone = sum(units[name] for name in ("redis", "redis group", "redis message"))
    return alone + max(heard - 1, 0) * costs["PUBLISH in Redis"]["each more"]


def site(connections: int, units: Units, costs: dict[str, Costs]) -> Site:
    """With as many processes as it needs to keep each at BUSY of its core."""
    found = Site(connections, 1, units, costs)
    while (needed := math.ceil(found.cpu / BUSY)) > found.processes:
        found.processes = needed
    return found

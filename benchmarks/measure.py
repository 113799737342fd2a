"""Interleaved measuring of two ways to do the same work."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Final

RUNS: Final = 5
SURE: Final = 0.95


@dataclass(frozen=True)
class Row:
    """Seconds for one piece of work, ours and the peer's; above 1 the ratio is in our favour."""

    what: str
    ours: float
    peer: float
    peer_name: str

    def __str__(self) -> str:
        ratio = self.peer / self.ours
        return (
            f"{self.what:<44}{_time(self.ours):>12}{_time(self.peer):>12}{ratio:>7.1f}x"
            f"  {self.peer_name}"
        )


def _time(seconds: float) -> str:
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.2f} us"


def compare(
    what: str,
    ours: Callable[[int], None],
    peer: Callable[[int], None],
    peer_name: str,
    *,
    times: int,
) -> Row:
    """Each of the two does its work `times` times in each of RUNS runs, by turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for side, work in enumerate((ours, peer)):
            started = time.perf_counter()
            work(times)
            taken[side].append((time.perf_counter() - started) / times)
    return Row(what, median(taken[0]), median(taken[1]), peer_name)


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The lower end, the estimate and the upper end, by signed ranks (Hodges and Lehmann).

    Unlike a mean, this hardly changes with one pair that other work on the machine has spoiled.
    """
    logs = [log(ratio) for ratio in ratios]
    means = sorted(map(_mean, itertools.combinations_with_replacement(logs, 2)))
    outside = _outside(len(logs))
    return exp(means[outside]), exp(median(means)), exp(means[-1 - outside])


def _mean(two: tuple[float, float]) -> float:
    return sum(two) / 2


def _outside(count: int) -> int:
    """How many means of two lie outside the interval at each end."""
    ways = [1]  # sum of ranks -> number of sets of ranks that have it
    for rank in range(1, count + 1):
        longer = ways + [0] * rank
        ways = [each + less for each, less in zip(longer, [0] * rank + ways, strict=True)]
    chances = itertools.accumulate(way / 2**count for way in ways)
    return max(0, sum(chance <= (1 - SURE) / 2 for chance in chances) - 1)

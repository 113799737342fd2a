"""Interleaved measuring of two ways to do the same work."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

RUNS: Final = 5


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

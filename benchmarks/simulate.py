"""`python -m benchmarks --simulate`: the server as a queueing model, first against what was
measured, then beyond it.

It takes its unit costs from the fitted points of benchmarks/measured.json (`--units`), reproduces
the other points, and goes beyond them only where each is within 20 %; otherwise it says which is
not, and ends with 1. docs/scaling.md has its tables.
"""

import sys
from collections.abc import Iterator
from typing import Any, Final

from benchmarks import scale
from benchmarks.fit import fitted
from benchmarks.points import POINTS, Point, read
from benchmarks.queueing import Units, closed_loop

TOLERANCE: Final = 0.20


def main() -> None:
    measured = read()
    costs = measured["costs"]
    units = fitted(costs)
    print(f"Measured {measured['date']}, {measured['machine']}, medians of {measured['runs']}.")
    _print_units(units)
    print(f"\n{'CPU, microseconds a message':<52}{'measured':>10}{'simulated':>10}")
    missed = []
    for what, was, simulated in _reproduced(costs, units):
        off = simulated / was - 1
        print(f"{what:<52}{was:>10,.1f}{simulated:>10,.1f}{off:>+7.0%}")
        if abs(off) > TOLERANCE:
            missed.append(what)
    if missed:
        sys.exit(
            f"This model misses {len(missed)} of the measured points by more than {TOLERANCE:.0%}"
            f" ({'; '.join(missed)}), so it says nothing about larger sites."
        )
    print()
    scale.show(units, costs)


def _print_units(units: Units) -> None:
    for name, cost in vars(units).items():
        print(f"  {name:<24}{cost:>10.1f} us")


def _reproduced(costs: dict[str, dict[str, float]], units: Units) -> Iterator[Any]:
    for point in POINTS:
        if not point.fitted:
            simulated = closed_loop(point, units).costs
            for program in _programs(point):
                yield (
                    f"{point.name}: {program}",
                    costs[point.name][program],
                    simulated[program],
                )


def _programs(point: Point) -> list[str]:
    if point.across:  # with many receivers, all the work is the other's
        return ["other"] if point.receivers > 1 else ["server", "other"]
    return ["server", "postgres"] if point.database == "postgres" else ["server"]

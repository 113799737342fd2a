"""`python -m benchmarks --simulate`: the server as a queueing model, first against what was
measured, then beyond it.

It takes its unit costs from the fitted points of benchmarks/measured.json (`--units`), reproduces
the other points, and goes beyond them only where each is within 20 %; otherwise it says which is
not, and ends with 1. `make bench-report` writes its tables into docs/scaling.md.
"""

from collections.abc import Iterator
from typing import Any, Final

from benchmarks import scale, tables
from benchmarks.fit import compared, cost, fitted
from benchmarks.points import CROWDS, POINTS, TOGETHER, Costs, idle_of, read, visits_of
from benchmarks.queueing import Units, closed_loop

TOLERANCE: Final = 0.20


def main() -> None:
    for name, text in figures().items():
        print(f"{name}{text}")


def figures() -> dict[str, str]:
    """Name -> a table. SystemExit where the model does not hold; what it was held against has been
    printed then."""
    measured = read()
    costs = measured["costs"]
    units = fitted(costs)
    found = list(reproduced(costs, units))
    held = tables.reproduced(found)
    missed = [what for what, was, simulated in found if abs(simulated / was - 1) > TOLERANCE]
    if missed:
        print(held)
        raise SystemExit(
            f"This model misses {len(missed)} of the measured points by more than {TOLERANCE:.0%}"
            f" ({'; '.join(missed)}), so it says nothing about larger sites."
        )
    sites = [scale.site(size, units, costs) for size in scale.SIZES]
    return {
        "measured": tables.about(measured),
        "units": tables.units(units, costs),
        "reproduced": held,
        "process": tables.process(units, costs),
        "busy": tables.busy(units),
        "sites": tables.sites(sites),
        "shares": tables.shares(sites),
        "walls": tables.walls(sites[1], units, costs),
    }


def reproduced(costs: dict[str, Costs], units: Units) -> Iterator[tuple[str, float, float]]:
    """What was measured and not fitted, how much it was, and what the model says."""
    for point in POINTS:
        if not point.fitted:
            result = closed_loop(point, units)
            for program in compared(point):
                simulated = cost(units, result.counts(program))
                yield f"{point.name}: {program}", costs[point.name][program], simulated
    yield from _visits(costs)
    few, many = (costs[idle_of(count)] for count in CROWDS)
    for what in few:
        yield f"{idle_of(CROWDS[1])}: {what}", many[what], few[what]


def _visits(costs: dict[str, Costs]) -> Iterator[Any]:
    """Few that come together share commits: a cost of its own each, and a share."""
    alone, between, most, _ = TOGETHER
    for database in ("SQLite", "PostgreSQL"):
        one, some, many = (costs[visits_of(count, database)] for count in (alone, between, most))
        for program, was in some.items():
            shared = (one[program] - many[program]) / (1 / alone - 1 / most)
            own = one[program] - shared
            yield f"{visits_of(between, database)}: {program}", was, own + shared / between

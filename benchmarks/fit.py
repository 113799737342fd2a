"""Unit costs from the fitted points: what happened there, by the model, times what each costs, is
what was measured."""

from collections.abc import Sequence
from typing import Final

from benchmarks.points import POINTS, Costs, Point
from benchmarks.queueing import Units, closed_loop

ROUNDS: Final = 4  # what happens depends on what it costs
STEPS: Final = 3000
PROGRAMS: Final = ("server", "other", "redis", "postgres")


def fitted(measured: dict[str, Costs]) -> Units:
    units: Units = {}
    points = [point for point in POINTS if point.fitted]
    for _ in range(ROUNDS):
        results = {point: closed_loop(point, units) for point in points}
        known: Units = {}
        for program in PROGRAMS:
            equations = [
                (results[point].counts(program), measured[point.name][program])
                for point in points
                if program in compared(point)
            ]
            _solve(equations, known)
        units = known
    return units


def compared(point: Point) -> Sequence[str]:
    """The programs whose cost says something: with many listeners all the work is the other's."""
    if point.across:
        return ["other"] if point.members > 1 else ["server", "other", "redis"]
    return ["server", "postgres"] if point.database == "PostgreSQL" else ["server"]


def cost(units: Units, counts: Units) -> float:
    return sum(units[unit] * count for unit, count in counts.items() if count)


def _solve(equations: Sequence[tuple[Units, float]], units: Units) -> None:
    """Adds those that are not known yet: none is below 0, and the squares of the relative misses
    are least."""
    new = {unit for counts, _ in equations for unit, count in counts.items() if count}
    new -= set(units)
    rows = [
        (
            {unit: count / total for unit, count in counts.items() if unit in new},
            1 - sum(units.get(unit, 0.0) * count for unit, count in counts.items()) / total,
        )
        for counts, total in equations
    ]
    found = dict.fromkeys(sorted(new), 0.0)
    left = [missing for _, missing in rows]
    for _ in range(STEPS):
        for unit in found:
            share = [counts.get(unit, 0.0) for counts, _ in rows]
            square = sum(each * each for each in share)
            step = sum(each * miss for each, miss in zip(share, left, strict=True)) / square
            step = max(step, -found[unit])
            found[unit] += step
            left = [miss - each * step for each, miss in zip(share, left, strict=True)]
    units |= found

"""Unit costs from the fitted points: each equation is a point less what is known already."""

from typing import Final

from benchmarks.points import ACROSS, POSTGRES, Point
from benchmarks.queueing import Units, closed_loop

ROUNDS: Final = 6  # batches depend on what a row costs, and that on the batches
CHUNK: Final = 64
Costs = dict[str, dict[str, float]]


def fitted(costs: Costs) -> Units:
    units = Units()
    _delivering(units, costs)
    _across(units, costs)
    _storing(units, costs)
    return units


def _delivering(units: Units, costs: Costs) -> None:
    one, chunk, near, far = (
        costs[point.name]["server"]
        for point in (Point(1), Point(1, chunk=CHUNK), Point(30), Point(300))
    )
    units.near = (near - one) / 29
    units.read = (one - chunk) / (1 - 1 / CHUNK)
    units.publish = chunk - units.read / CHUNK - units.near
    units.far = (far - units.read - units.publish) / 300


def _across(units: Units, costs: Costs) -> None:
    one, chunk = costs[Point(1, **ACROSS).name], costs[Point(1, chunk=CHUNK, **ACROSS).name]
    units.tell = (one["server"] - chunk["server"]) / (1 - 1 / CHUNK) - units.read
    units.told = chunk["server"] - units.publish - (units.read + units.tell) / CHUNK
    woken = (one["other"] - chunk["other"]) / (1 - 1 / CHUNK)
    units.heard = chunk["other"] - units.near - woken / CHUNK
    many = Point(1, rooms=16, **ACROSS)
    for _ in range(ROUNDS):
        result = closed_loop(many, units)
        wakes = result.told / result.messages  # each round trip wakes the other process once
        left = costs[many.name]["other"] - units.near - units.heard
        units.wake = max((woken - left) / (1 - wakes), 0.0) if wakes < 1 else 0.0
        units.hear = woken - units.wake


def _storing(units: Units, costs: Costs) -> None:
    for database in ("sqlite", "postgres"):
        place = POSTGRES if database == "postgres" else {}
        one = Point(1, stored=True, **place)
        many = Point(1, stored=True, rooms=64, **place)
        _split(units, costs, one, many, "server", f"{database}_batch", f"{database}_row")
    _split(units, costs, one, many, "postgres", "postgres_own_batch", "postgres_own_row")


def _split(
    units: Units, costs: Costs, one: Point, many: Point, program: str, batch: str, row: str
) -> None:
    """What a batch costs, and what each row of it, so that both points come out as measured."""
    for _ in range(ROUNDS):
        alone, together = (closed_loop(point, units) for point in (one, many))
        missing = costs[one.name][program] - alone.costs[program]
        share = together.batches / together.messages
        excess = costs[many.name][program] - together.costs[program]
        more = (excess - missing * share) / (1 - share)
        setattr(units, row, max(getattr(units, row) + more, 0.0))
        setattr(units, batch, max(getattr(units, batch) + missing - more, 0.0))

"""A writer that waits for SQLite gets in during a pause; transactions take the time allotted."""

from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.purge import HOLD, Pace

# How long SQLite's busy handler sleeps each time it finds the database locked, then for ever.
LOOKS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05)
LAST_LOOKS = 0.1
LATE = 1.2  # a sleep may be so much longer


def pause(pace: Pace, held: float, vendor: str = "sqlite", *, server: bool = True) -> float:
    """After a transaction that held its locks for so long."""
    after: Any = SimpleNamespace(
        held=held, took=held, vendor=vendor, has_live_server=lambda: server
    )
    return pace.pause(after)


def looks(began: float, until: float) -> list[float]:
    """When SQLite's busy handler looks again for someone who began to wait at `began`."""
    sleeps = [0.0, *LOOKS, *[LAST_LOOKS] * int(until / LAST_LOOKS + 1)]
    return [began + waited for waited in accumulate(sleeps)]


@given(held=st.floats(0.0001, 1), part=st.floats(0, 1))
def test_who_began_to_wait_during_a_transaction_looks_again_in_its_pause(
    held: float, part: float
) -> None:
    pause_ends = held + pause(Pace(10_000), held) / LATE
    assert any(held <= look <= pause_ends for look in looks(held * part, pause_ends))


@pytest.mark.parametrize(("vendor", "hold"), HOLD.items())
@given(cost=st.floats(1e-6, 0.001), overhead=st.floats(0, 0.0001))
def test_the_number_of_rows_settles_where_a_transaction_takes_its_time(
    vendor: str, hold: float, cost: float, overhead: float
) -> None:
    pace = Pace(10**9)
    for _ in range(60):
        pause(pace, overhead + pace.rows * cost, vendor)
    assert pace.rows == 1 or overhead + pace.rows * cost <= hold + cost
    assert pace.rows == 1 or overhead + (pace.rows + 1) * cost > hold * 0.9


def test_without_a_server_transactions_are_larger_and_pauses_shorter() -> None:
    pace, alone = Pace(10_000), Pace(10_000)
    assert pause(pace, 0.1) == 0.2
    assert pause(alone, 0.1, server=False) == pytest.approx(0.01)
    assert alone.rows > pace.rows


def test_one_slow_transaction_only_halves_the_rows() -> None:
    pace = Pace(10_000)
    rows = pace.rows
    pause(pace, 60.0)
    assert pace.rows == rows // 2


@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_never_more_rows_than_the_limit(limit: int) -> None:
    pace = Pace(limit)
    for _ in range(40):
        assert 1 <= pace.rows <= limit
        pause(pace, 1e-9)
    assert pace.rows == limit

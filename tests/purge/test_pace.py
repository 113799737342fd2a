"""Whoever waits for SQLite gets in during a pause; transactions take the time that they should."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.purge.pace import LAST_LOOKS, LOOKS, Pace, Tempo, next_look


def looks(began: float, until: float) -> list[float]:
    """When SQLite's busy handler looks again for someone who began to wait at `began`."""
    sleeps = [0.0, *LOOKS, *[LAST_LOOKS] * int(until / LAST_LOOKS + 1)]
    return [began + waited for waited in accumulate(sleeps)]


@given(held=st.floats(0.0001, 1), part=st.floats(0, 1))
def test_who_began_to_wait_during_a_transaction_looks_again_in_its_pause(
    held: float, part: float
) -> None:
    pause_ends = held + next_look(held)
    assert any(held <= look <= pause_ends for look in looks(held * part, pause_ends))


@given(cost=st.floats(1e-6, 0.01), overhead=st.floats(0, 0.001))
def test_the_number_of_rows_settles_where_a_transaction_takes_its_time(
    cost: float, overhead: float
) -> None:
    pace, tempo = Pace(10**9), Tempo(hold=0.02, rest=0)
    for _ in range(60):
        pace.took(overhead + pace.rows * cost, tempo)
    assert overhead + pace.rows * cost <= 0.02 + cost
    assert pace.rows == 1 or overhead + (pace.rows + 1) * cost > 0.02 * 0.9


def test_one_slow_transaction_only_halves_the_rows() -> None:
    pace, tempo = Pace(10_000), Tempo(hold=0.02, rest=0)
    rows = pace.rows
    pace.took(60.0, tempo)
    assert pace.rows == rows // 2


@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_never_more_rows_than_the_limit(limit: int) -> None:
    pace, tempo = Pace(limit), Tempo(hold=0.02, rest=0)
    for _ in range(40):
        assert 1 <= pace.rows <= limit
        pace.took(1e-9, tempo)
    assert pace.rows == limit

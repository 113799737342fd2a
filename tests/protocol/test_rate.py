"""How fast a connection may send (protocol.md section 17)."""

from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.frames import MAX_RATES, UNIT_BYTES, Rate, cost, rate_of, work_of

DEFAULT = 100  # CLIENT_FRAMES_PER_SECOND (design.md section 5)

gaps = st.lists(st.floats(0, 2), min_size=1, max_size=40)


def flood(rate: Rate, frames: int, now: float) -> int:
    """How many of so many frames at one moment are allowed."""
    return sum(rate.allows(now) for _ in range(frames))


@given(gaps, st.floats(0, 1e9))
def test_500_frames_in_any_10_seconds_are_never_limited(gaps: list[float], start: float) -> None:
    rate, now, sent = Rate(DEFAULT), start, list[float]()
    for gap in gaps:
        now += gap
        room = 500 - sum(moment > now - 10 for moment in sent)
        assert flood(rate, room, now) == room
        sent += [now] * room


def test_a_burst_of_ten_seconds_worth_is_allowed_and_no_more() -> None:
    assert flood(Rate(DEFAULT), 2000, 5.0) == 1000


def test_after_a_burst_the_rate_is_the_mean() -> None:
    rate = Rate(DEFAULT)
    flood(rate, 2000, 0.0)
    assert flood(rate, 200, 1.0) == 100
    assert flood(rate, 200, 1.5) == 50


def test_a_refused_frame_does_not_count() -> None:
    rate = Rate(DEFAULT)
    flood(rate, 100_000, 0.0)
    assert rate.allows(0.02)


def test_refusals_are_counted_until_it_has_rested() -> None:
    rate = Rate(1)
    flood(rate, 13, 0.0)
    flood(rate, 2, 9.0)
    assert rate.refused == 3
    flood(rate, 1, 10.5)
    assert rate.refused == 3
    flood(rate, 12, 30.0)
    assert rate.refused == 2


@given(gaps)
def test_the_mean_over_a_long_time_is_never_exceeded(gaps: list[float]) -> None:
    rate, now, allowed = Rate(DEFAULT), 0.0, 0
    for gap in gaps:
        now += gap
        allowed += flood(rate, 50, now)
    assert allowed <= DEFAULT * (10 + now) + 1


def test_zero_is_no_limit() -> None:
    assert flood(Rate(0), 100_000, 0.0) == 100_000


def test_each_name_has_its_own_rate() -> None:
    rate_of.cache_clear()
    assert flood(rate_of("one", 1), 20, 0.0) == 10
    assert flood(rate_of("other", 1), 20, 0.0) == 10
    assert flood(rate_of("one", 1), 20, 0.0) == 0


def test_only_so_many_names_are_remembered_the_latest_ones() -> None:
    rate_of.cache_clear()
    first, kept = rate_of("first", 1), rate_of("kept", 1)
    for other in range(MAX_RATES - 1):
        rate_of(str(other), 1)
        assert rate_of("kept", 1) is kept
    assert rate_of("first", 1) is not first


def test_work_is_charged_by_what_is_asked_for() -> None:
    assert cost("hotsock.subscribe", "c", 2000) == 1
    assert cost("listMessages", "c", 2000) == 3
    assert cost("listMessages", None, 2000) == 0  # it will be refused
    assert cost("chat", "c", 2000) == 0
    assert cost("umdUpdate", "c", 2000) == 1
    assert cost("hotsock.umdUpdate", None, 2000) > 100


def test_a_budget_of_work_is_free_for_what_clients_do_at_first() -> None:
    work = work_of("first", DEFAULT)
    assert all(work.allows(5.0, cost("hotsock.subscribe", "c", 0)) for _ in range(1000))
    for _ in range(100):
        assert work.allows(5.0, cost("listMessages", "c", 0))
        work.add(100 * 1024 / UNIT_BYTES)
    assert not all(work.allows(5.0) for _ in range(1000))
    assert flood(work_of("none", 0), 10_000, 5.0) == 10_000


def test_what_costs_more_than_was_thought_is_owed() -> None:
    rate = Rate(1)
    assert rate.allows(0.0)
    rate.add(9)
    assert not rate.allows(0.0)
    rate.add(-2)
    assert flood(rate, 5, 0.0) == 2

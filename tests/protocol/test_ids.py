"""Message ids: strictly increasing, and in the window that history asks for."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.commands import MESSAGE_ID
from chat.protocol.ids import before_instant, new_id, next_id, ulid_int, ulid_text

LATEST_MS = 253_402_300_799_999  # the end of the year 9999
moments = st.integers(0, LATEST_MS)


@given(st.lists(moments, min_size=2, max_size=50))
def test_ids_increase_whatever_the_clock_does(clock: list[int]) -> None:
    last, texts = 0, []
    for ms in clock:
        last = next_id(last, ms)
        texts.append(ulid_text(last))
    assert all(one < other for one, other in itertools.pairwise(texts))


def test_many_ids_of_one_millisecond_stay_within_it() -> None:
    """Counting on from a random number cannot run into the time: its highest bit is free."""
    last, ms = 0, 1_700_000_000_000
    assert not any(next_id(0, ms) >> 79 & 1 for _ in range(100))
    for _ in range(10_000):
        last = next_id(last, ms)
        assert last >> 80 == ms


@given(moments)
def test_an_id_tells_its_millisecond(ms: int) -> None:
    id = new_id(ms)
    assert MESSAGE_ID.fullmatch(id)
    assert ulid_int(id) >> 80 == ms


def test_ids_of_one_millisecond_are_all_different_and_count_on() -> None:
    """Those that share a beginning sort as they were made; there are 1024 of each."""
    ms = 1_700_000_000_123
    new_id(ms + 1)
    made = [new_id(ms) for _ in range(5000)]
    assert len(set(made)) == len(made)
    for id in made:
        assert MESSAGE_ID.fullmatch(id)
        assert ulid_int(id) >> 80 == ms
    for run in itertools.batched(made, 1024):
        assert list(run) == sorted(run)
        assert len({id[:-2] for id in run}) == 1


def test_a_clock_that_goes_back_and_forth_makes_no_id_twice() -> None:
    made = [new_id(ms) for _ in range(200) for ms in (7, 8, 7, 7, 9)]
    assert len(set(made)) == len(made)
    assert [ulid_int(id) >> 80 for id in made] == [7, 8, 7, 7, 9] * 200


def test_threads_never_make_the_same_id() -> None:
    def some(_: int) -> list[str]:
        return [new_id(ms) for ms in range(20) for _ in range(300)]

    with ThreadPoolExecutor(4) as pool:
        made = [id for ids in pool.map(some, range(4)) for id in ids]
    assert len(set(made)) == len(made) == 4 * 20 * 300


@given(st.integers(0, 2**128 - 1))
def test_text_and_number_are_the_same_id(number: int) -> None:
    assert ulid_int(ulid_text(number)) == number


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_texts_sort_as_their_numbers(one: int, other: int) -> None:
    assert (ulid_text(one) < ulid_text(other)) is (one < other)


def test_no_message_yet_is_zero() -> None:
    assert ulid_int("") == 0


@given(st.integers(1, LATEST_MS))
def test_a_window_begins_with_its_instant(ms: int) -> None:
    start = before_instant(ms / 1000)
    assert start < ulid_text(ms << 80)
    assert start >= ulid_text((ms << 80) - 1)


@given(st.integers(0, 253_370_764_800))
def test_a_whole_second_is_inclusive_to_the_last_id(second: int) -> None:
    ms = second * 1000
    start = before_instant(second)
    assert start < ulid_text(ms << 80)
    assert not ms or start == ulid_text((ms << 80) - 1)


@pytest.mark.parametrize(
    ("seconds", "start"),
    [
        (4135.109, ulid_text((4135109 << 80) - 1)),
        (0, ""),
        (-1, ""),
        (0.0004, ulid_text((1 << 80) - 1)),
        (1.0, ulid_text((1000 << 80) - 1)),
        (1.0001, ulid_text((1001 << 80) - 1)),
        (1e300, ulid_text(((2**48 - 1) << 80) - 1)),
    ],
)
def test_the_start_of_a_window(seconds: float, start: str) -> None:
    assert before_instant(seconds) == start

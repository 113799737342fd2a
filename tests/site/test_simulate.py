"""`python -m benchmarks --simulate`: where docs/scaling.md has its tables from."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import fit, points, queueing, simulate


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    """Each point is simulated once."""
    simulated = queueing.closed_loop
    results: dict[tuple[str, str], queueing.Result] = {}

    def closed_loop(point: points.Point, units: dict[str, Any]) -> queueing.Result:
        asked = repr(point), repr(units)
        return results.get(asked) or results.setdefault(asked, simulated(point, units))

    with pytest.MonkeyPatch.context() as patch:
        for module in (fit, simulate):
            patch.setattr(module, "closed_loop", closed_loop)
        yield


def test_it_reproduces_what_was_measured_before_it_goes_beyond(
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulate.main()
    shown = capsys.readouterr().out
    assert shown.index("simulated") < shown.index("10,000,000")


def test_it_says_nothing_of_larger_sites_where_it_misses_a_point(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = copy.deepcopy(points.read())
    checked = points.Point(100, chunk=8)
    measured["costs"][checked.name]["server"] *= 2
    monkeypatch.setattr(simulate, "read", lambda: measured)
    with pytest.raises(SystemExit, match=r"misses 1 of the measured points .*says nothing"):
        simulate.main()
    assert "10,000,000" not in capsys.readouterr().out


def test_what_comes_together_is_read_once_and_written_once() -> None:
    result = queueing.closed_loop(points.Point(10, chunk=8), {})
    counts = result.counts("server")
    assert counts["read"] == pytest.approx(1 / 8)
    assert counts["write"] == pytest.approx(10 / 8)
    assert counts["frame"] == pytest.approx(1)
    assert counts["delivery"] == pytest.approx(10)


def test_what_waits_while_a_batch_commits_is_the_next_batch() -> None:
    alone, many = (
        queueing.closed_loop(points.Point(1, publishers=count, database="SQLite"), {})
        for count in (1, 64)
    )
    assert alone.counts("server")["SQLite commit"] == pytest.approx(1)
    assert many.counts("server")["SQLite commit"] < 1 / 4

"""`python -m benchmarks --simulate`: where docs/scaling.md has its tables from."""

import copy

import pytest

from benchmarks import points, simulate


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

"""`make bench` judges by pairs: a run of ours and the run of the peer beside it."""

import pytest

from benchmarks.results import Row, fresh
from benchmarks.targets import Target

TARGET = Target("few-rooms", "rooms", "server_us_1", at_most=1.0, against="ws")


def judged(ours: list[float], peer: list[float]) -> str:
    measured = fresh(full=False)
    rows = {
        ("few-rooms", side): (
            Row("few-rooms", side, side, [{"server_us_1": e} for e in took]),
            measured,
        )
        for side, took in (("ours", ours), ("ws", peer))
    }
    return str(TARGET.judge(rows))


@pytest.mark.parametrize(("share", "verdict"), [(0.9, "reached"), (1.1, "MISSED")])
def test_a_machine_that_gets_slower_changes_no_ratio(share: float, verdict: str) -> None:
    peer = [10.0, 11, 12, 13, 20, 25, 30]
    said = judged([each * share for each in peer[:-1]] + [1.0], peer)
    assert said.startswith(verdict)
    assert f"{share:.3g} × node ws" in said


def test_of_few_runs_medians_are_compared() -> None:
    assert "…" not in judged([9, 9, 9], [10, 10, 10])
    assert "(0.9 … 0.9)" in judged([9.0] * 6, [10.0] * 6)


def test_a_run_without_cpu_makes_no_pair() -> None:
    assert "(0.9 … 0.9)" in judged([9.0] * 6 + [0.0, 9.0], [10.0] * 7 + [0.0])

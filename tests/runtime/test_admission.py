"""Who is let in: who must wait after an abuse, and for how long."""

import pytest

from chat.runtime import admission


def test_who_was_closed_for_abuse_is_barred_alone_and_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notified: list[tuple[object, ...]] = []
    entrance, now = admission.Admission(lambda *bar: notified.append(bar)), 1000.0
    monkeypatch.setattr(admission.time, "monotonic", lambda: now)
    entrance.bar(("a", None))
    assert notified == [("bar", "a", None)]  # the other processes
    assert entrance.is_barred(("a", None))
    assert not entrance.is_barred(("a", "jim"))
    assert not entrance.is_barred(("b", None))
    now += admission.BAR_SECONDS
    assert not entrance.is_barred(("a", None))
    entrance.forget_expired()
    assert not entrance.is_barred(("a", None))

"""Who is let in: who must wait after an abuse, and for how long."""

import pytest

from chat.runtime import admission


def test_who_was_closed_for_abuse_is_barred_alone_and_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door, now = admission.Admission(), 1000.0
    monkeypatch.setattr(admission.time, "monotonic", lambda: now)
    door.bar(("a", None))
    assert door.is_barred(("a", None))
    assert not door.is_barred(("a", "jim"))
    assert not door.is_barred(("b", None))
    now += admission.BAR_SECONDS
    assert not door.is_barred(("a", None))
    door.forget_barred()
    assert not door.is_barred(("a", None))

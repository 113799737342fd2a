from datetime import timedelta

import pytest
from django.utils import timezone

from chat.admin import render
from chat.admin.connections import browser_name


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(seconds=-1), "expired"),
        (timedelta(seconds=30.5), "in 30 s"),
        (timedelta(minutes=5, seconds=1), "in 5 min"),
        (timedelta(hours=5, minutes=1), "in 5 h"),
        (timedelta(days=3, hours=1), "in 3 d"),
    ],
)
def test_what_is_left_of_a_life(left: timedelta, said: str) -> None:
    now = timezone.now()
    assert render.remaining(now + left, now) == said


def test_some_live_for_ever() -> None:
    assert render.remaining(None, timezone.now()) == "never"


CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (f"{CHROME} Safari/537.36", "Chrome 126 on Linux"),
        (f"{CHROME} Safari/537.36 Edg/126.0.1", "Edge 126 on Linux"),
        (f"{CHROME} Safari/537.36 OPR/112.0", "Opera 112 on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox 128 on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari 17 on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            "Safari 17 on macOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome 126 on Android",
        ),
        ("python-websockets/13.1", "python-websockets/13.1"),
        ("x" * 300, "x" * 60 + "…"),
        ("", render.EMPTY),
    ],
)
def test_a_browser_has_a_name(agent: str, said: str) -> None:
    assert browser_name(agent) == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\t b", "a b"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100 + "…"),
        ("a" + " " * 500 + "b", "a…"),
    ],
)
def test_a_text_fits_one_line(text: str, line: str) -> None:
    assert render.one_line(text) == line


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0"), (999, "999"), (10_000, "10,000"), (10_001, "10,000+")]
)
def test_a_count_ends_at_its_cap(count: int, said: str) -> None:
    assert render.capped(count, 10_000) == said

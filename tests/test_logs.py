"""No log line has a secret in it, wherever the line comes from."""

import logging

import pytest

from chat.logs import RedactingFormatter, ThrottleFilter

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"


def line(message: str, *arguments: object, error: BaseException | None = None) -> str:
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("n", logging.INFO, "p", 1, message, arguments, exc_info)
    return RedactingFormatter().format(record)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f'"WebSocket /v1?token={JWT}" [accepted]', '"WebSocket /v1" [accepted]'),
        (f"GET /?a=1&token={JWT} HTTP/1.1", "GET / HTTP/1.1"),
        (
            '"POST /connection/publishMessage?connectionId=a%3D&connectionSecret=s" 202',
            '"POST /connection/publishMessage" 202',
        ),
        (f"refused: {JWT}.", "refused: ."),
        ("Why? Because a=b.", "Why? Because a=b."),
        ("What now?", "What now?"),
    ],
)
def test_query_strings_and_tokens_are_left_out(said: str, written: str) -> None:
    assert line("%s", said).endswith(f": {written}")


def test_also_from_a_traceback() -> None:
    assert JWT not in line("failed", error=ValueError(f"bad token {JWT}"))


def test_what_is_said_again_and_again_is_written_once_a_second() -> None:
    once = ThrottleFilter()

    def written(message: str, at: float) -> bool:
        record = logging.LogRecord("n", logging.WARNING, "p", 1, message, (), None)
        record.created = at
        return bool(once.filter(record))

    assert [written("away: %s", at) for at in (10, 10.4, 10.8, 11.2, 11.3)] == [
        *(True, False, False, True, False)
    ]
    assert written("gone: %s", 11.3)
    assert written("away: %s", 1)  # the clock was set back

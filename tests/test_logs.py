"""No log line has a secret in it, wherever the line comes from."""

import logging

import pytest

from chat.logs import RedactingFormatter, StrangersFilter, ThrottleFilter

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


def test_what_strangers_cause_is_written_once_and_then_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strangers = StrangersFilter()

    def written(name: str, message: str, *arguments: object, **fields: object) -> bool:
        record = logging.LogRecord(name, logging.WARNING, "p", 1, message, arguments, None)
        vars(record).update(fields)
        return bool(strangers.filter(record))

    def refused() -> bool:
        return written("chat.connections.handshake", "A token from %s was refused", "192.0.2.1")

    assert [refused() for _ in range(301)] == [True, *[False] * 300]
    assert written("django.security.DisallowedHost", "Invalid: 'evil'", status_code=400)
    assert not written("django.security.DisallowedHost", "Invalid: 'worse'", status_code=400)
    assert all(written("chat.writer", "The database is away") for _ in range(2))
    strangers.sum_up()
    [line] = caplog.messages
    assert line == (
        "301 more warnings in the last minute: 300 x A token from … was refused;"
        " 1 x django.security.DisallowedHost 400"
    )
    assert refused()

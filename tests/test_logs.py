"""No log line has a secret in it, wherever the line comes from; no error page has."""

import io
import json
import logging
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django import Settings
from uvicorn.logging import AccessFormatter

from chat.logs import (
    BUFFER_CHARACTERS,
    MAX_WARNING,
    MAX_WARNINGS,
    BufferedStreamHandler,
    LastWarnings,
    RedactingFormatter,
    StrangersFilter,
    ThrottleFilter,
    last_warnings,
    redact,
)
from tests.support import disclosure

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
        (f"GET /v1?{JWT} HTTP/1.1", "GET /v1? HTTP/1.1"),
        (f"GET /v1%3Ftoken%3D{JWT.replace('.', '%2e')}", "GET /v1%3Ftoken%3D"),
        (f"hotsock.v1, bearer.{JWT}", "hotsock.v1, bearer."),
        ("(b'authorization', b'Bearer x8-_0123456789abcdef')", "(b'authorization', b'Bearer ')"),
        ('{"connectionSecret":"x8-_","a":1}', '{"connectionSecret":"","a":1}'),
        ("connectionId=a&connectionSecret=x8-_&b", "connectionId=a&connectionSecret=&b"),
        ("at rediss://:p:w@h:1/0 and ftp://h:1/@", "at rediss://:@h:1/0 and ftp://h:1/@"),
        ("postgres://u:pw@h/db", "postgres://u:@h/db"),
        ("whsec_c2VjcmV0 is it", " is it"),
        ("bearer of news", "bearer of news"),
    ],
)
def test_query_strings_and_tokens_are_left_out(said: str, written: str) -> None:
    assert line("%s", said).endswith(f": {written}")


def test_no_terminal_obeys_a_line() -> None:
    """A channel may be named so."""
    obeyed = "room-\x1b[2J\r\x07\x9b1m\x7f"
    record = logging.LogRecord("n", logging.INFO, "p", 1, obeyed, (), None)
    written = RedactingFormatter(as_json=True).format(record)
    assert json.loads(written)["event"] == obeyed
    assert written.isprintable()
    assert line("%s\n\twaits", obeyed).endswith(r"room-\x1b[2J\x0d\x07\x9b1m\x7f" + "\n\twaits")


def test_also_from_a_traceback() -> None:
    assert JWT not in line("failed", error=ValueError(f"bad token {JWT}"))


@pytest.mark.parametrize("begin", ["?", "eyJ", "eyJaaaaa.", "bearer.", "://", "://:", "?a"])
def test_no_line_takes_long_to_search(begin: str) -> None:
    """Whoever may send a request may send one of question marks alone: each is looked at once."""
    assert redact(begin * 200_000)


# --- where records are made ---------------------------------------------------------------------

KEY = secrets.token_urlsafe(32)


class Everything(logging.Handler):
    """A site's own: it has all that a record has, without our formatter."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kept = {name: value for name, value in vars(record).items() if name != "exc_info"}
        text = logging.Formatter().format(record)
        self.said += [record.getMessage(), repr(kept), text]


@pytest.fixture(params=["chat.x", "tokens.x", "uvicorn.access", "site"])
def said(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, Everything]]:
    logger, handler = logging.getLogger(request.param), Everything()
    logger.addHandler(handler)
    level, logger.level = logger.level, logging.DEBUG
    yield logger, handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_our_records_are_made_without_secrets_and_others_stay_as_they_are(
    said: tuple[logging.Logger, Everything], settings: Settings
) -> None:
    logger, handler = said
    key = settings.TOKENS["API_SECRET_KEY_1"]
    secret = {JWT, key, settings.SECRET_KEY}
    for arguments in ((JWT, [key]), ({"a": JWT, "b": settings.SECRET_KEY.encode()},)):
        logger.debug("%s and %r" if len(arguments) > 1 else "%(a)s and %(b)r", *arguments)
    logger.info(f"{JWT} {key}")
    logger.info("connectionSecret=%s", "x8-_" * 8)
    if logger.name != "site":
        logger.info("%d %d", JWT, 1)  # which do not fit
    try:
        raise ValueError(f"bad token {JWT}") from KeyError(key)
    except ValueError as error:
        logger.exception("Failed: %s", error, stack_info=True)
    if logger.name == "site":
        assert any(JWT in each for each in handler.said)
        return
    assert not any(each in text for text in handler.said for each in secret)
    assert not any("x8-_" in text for text in handler.said)
    assert any("Traceback" in text for text in handler.said)


def test_a_record_without_secrets_keeps_its_arguments_and_its_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given: tuple[Any, ...] = ("192.0.2.1:9", "GET", f"/v1?token={JWT}", "1.1", 200)
    with caplog.at_level(logging.INFO):
        logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *given)
        try:
            raise ValueError("no secret")
        except ValueError:
            logging.getLogger("chat.x").exception("Failed after %g s", 0.5)
    assert caplog.records[1].exc_info
    assert caplog.records[1].exc_info[0] is ValueError
    assert caplog.records[1].args == (0.5,)
    shown = AccessFormatter("%(request_line)s %(status_code)s", use_colors=False)
    assert shown.format(caplog.records[0]) == "GET /v1 HTTP/1.1 200 OK"


def test_what_servers_have_written_is_searched(tmp_path: Path) -> None:
    """At the end of all tests (tests/conftest.py)."""
    log = tmp_path / "written.log"
    disclosure.watch(log, "uvicorn", {"API_SECRET_KEY_1": KEY})
    try:
        for line in (f"key {KEY}", f"token {JWT}", f"GET /connection/x?connectionSecret={KEY}"):
            log.write_text(f"Started\n{line}\n")
            assert [*disclosure.lines_of(log, "uvicorn")] == [line]
    finally:
        log.unlink()


# --- error pages --------------------------------------------------------------------------------


def test_an_error_page_has_no_key_and_no_address_of_a_service(settings: Settings) -> None:
    key, password = settings.TOKENS["API_SECRET_KEY_1"], secrets.token_hex(8)
    settings.DEBUG = True
    settings.CHAT = settings.CHAT | {"BROKER_URL": f"postgres://{password}.internal/chat"}
    layer = {"CONFIG": {"hosts": [f"rediss://:{password}@redis.internal"]}}
    settings.CHANNEL_LAYERS = {"default": layer}

    def fail(address: str, held: object, redis_url: str) -> None:
        raise ValueError("This is why")

    try:
        fail(f"postgres://chat:{password}@db", {"k": [key]}, f"redis://{password}")
    except ValueError:
        page = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info())
    html = page.get_traceback_html()
    assert "This is why" in html
    assert "BROKER_URL" in html
    assert not [each for each in (password, key, settings.SECRET_KEY) if each in html]


# --- what strangers cause -----------------------------------------------------------------------


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

    def unready() -> bool:
        error = {"levelno": logging.ERROR, "status_code": 503}
        return written("django.request", "Service Unavailable: /readyz", **error)

    def refused() -> bool:
        about = {"address": secrets.token_hex(8), "status": 401}
        return written("chat.connections.handshake", "Connection refused", about)

    assert [refused() for _ in range(301)] == [True, *[False] * 300]
    assert written("chat.connections.handshake", "Connection refused", {"status": 503})
    assert written("django.security.DisallowedHost", "Invalid: 'evil'", status_code=400)
    assert not written("django.security.DisallowedHost", "Invalid: 'worse'", status_code=400)
    assert [unready() for _ in range(3)] == [True, False, False]
    assert all(written("chat.writer", "The database is away") for _ in range(2))
    strangers.sum_up()
    [line] = caplog.messages
    assert line == (
        "303 more warnings in the last minute: 300 x Connection refused 401;"
        " 1 x django.security.DisallowedHost 400; 2 x django.request 503"
    )
    assert refused()


# --- for the live page --------------------------------------------------------------------------


def test_the_last_warnings_of_our_own_loggers_are_kept_without_secrets() -> None:
    logging.getLogger("chat.tested").warning("Connection refused", {"why": f"no {JWT}"})
    logging.getLogger("elsewhere").warning("not ours")
    logging.getLogger("chat.tested").info("no warning")
    [first, *_] = last_warnings.last()
    assert first[1:] == ("WARNING", "chat.tested", "Connection refused why=no ", 1)


def test_a_warning_with_half_a_character_can_be_sent() -> None:
    logging.getLogger("chat.tested").warning("Connection refused", {"why": "\ud83d"})
    assert json.loads(msgspec.json.encode(last_warnings.last()))[0][3].endswith("why=?")


def test_a_flood_of_one_kind_of_warning_hides_no_other() -> None:
    kept = LastWarnings()

    def warn(message: str, *arguments: object) -> None:
        kept.note(logging.LogRecord("chat", logging.WARNING, "p", 1, message, arguments, None))

    warn("rare")
    for number in range(1000):
        warn("often: %s", number)
    assert [(each.said, each.times) for each in kept.last()] == [("often: 999", 1000), ("rare", 1)]
    for number in range(MAX_WARNINGS + 1):
        warn(f"kind {number} " + "x" * 1000)
    assert [each.said[:7].strip() for each in kept.last()] == [
        f"kind {number}"[:7].strip() for number in range(MAX_WARNINGS, 0, -1)
    ]
    assert max(len(each.said) for each in kept.last()) == MAX_WARNING


class Written(io.StringIO):
    """What was written, and how often."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def wait_for(self, text: str) -> bool:
        """Within 5 s."""
        until = time.monotonic() + 5
        while text not in self.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        return self.getvalue() == text


def records(*levels: int) -> Iterator[logging.LogRecord]:
    for number, level in enumerate(levels):
        yield logging.LogRecord("n", level, "p", 1, f"{number}", (), None)


def logged(written: Written, *levels: int) -> None:
    handler = BufferedStreamHandler(written)
    for record in records(*levels):
        handler.handle(record)


def test_lines_that_come_together_are_written_together_and_soon() -> None:
    written = Written()
    logged(written, logging.INFO, logging.INFO, logging.INFO)
    assert written.wait_for("0\n1\n2\n")
    assert written.writes == 1


def test_a_warning_is_written_at_once_behind_what_came_before() -> None:
    written = Written()
    logged(written, logging.INFO, logging.WARNING)
    assert written.getvalue() == "0\n1\n"


def test_much_does_not_wait() -> None:
    written = Written()
    logged(written, *[logging.INFO] * BUFFER_CHARACTERS)  # two characters each, at least
    assert len(written.getvalue()) >= BUFFER_CHARACTERS


def test_where_nothing_can_be_written_who_logs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # to standard error
    written = Written()
    handler = BufferedStreamHandler(written)
    written.close()
    [warning] = records(logging.WARNING)
    assert handler.handle(warning)


ENDING = """
import logging, os
from chat.logs import BufferedStreamHandler
logging.basicConfig(handlers=[BufferedStreamHandler()], level="INFO")
logging.info("before")
if os.fork():
    os.wait()
    logging.info("parent")
else:
    logging.info("child")
"""


def test_nothing_is_lost_or_doubled_where_a_process_forks_and_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENDING],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = [line.rpartition(":")[2] for line in ended.stderr.splitlines()]
    assert said == ["before", "child", "parent"]

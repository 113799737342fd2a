"""Logs: a line for each event, and no token, secret or query string in one.

The records of our own loggers and of uvicorn's are made without them, whatever formats and keeps
these; `RedactingFormatter` is for the others of a site. The rest is for Django's LOGGING.

An event is logged as a sentence that is always the same, and a dict of its fields (docs/logs.md).
"""

import json
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final, NamedTuple, TextIO, cast

import msgspec
from structlog.processors import JSONRenderer
from structlog.typing import EventDict, Processor

log = logging.getLogger("chat.logs")

OURS: Final = frozenset({"chat", "tokens", "uvicorn"})
MIN_KEY: Final = 8  # characters: what is shorter may be a word

# A query string: tokens and connection secrets travel in it. In group 1 stays what is none. Each
# character is looked at once: a stranger may send 64 KiB of question marks.
QUERY: Final = re.compile(r"""\?[^\s"'<>=]*+=[^\s"'<>]*+|(\?[^\s"'<>]*+)""")
SECRET: Final = re.compile(
    r"eyJ[\w-]{5,}+(?:\.|%2[Ee])[\w-]++(?:\.|%2[Ee])[\w-]*+|(eyJ[\w-]*+)"  # a JWT
    r"|((?i:bearer)[ .])[\w.~+/=-]{16,}+"
    r"""|(connectionSecret["']?[:=]\s?["']?)[\w-]++"""
    r"|(://[^\s/:@]*+:)[^\s/@]++(?=@)"  # the password of a service's address
    r"|whsec_[\w+/=-]++"
)
# In lower case: without one of these there is none, and to look for them takes a tenth.
SIGNS: Final = ("eyj", "bearer", "connectionsecret", "://", "whsec_")

_keys: tuple[str, ...] = ()


def redact(text: str) -> str:
    """The text without what is secret, as far as that shows, and without the keys of this site."""
    if "?" in text:
        text = QUERY.sub(r"\1", text)
    lowered = text.lower()
    for sign in SIGNS:
        if sign in lowered:
            text = SECRET.sub(r"\1\2\3\4", text)
            break
    for key in _keys:
        if key in text:
            text = text.replace(key, "")
    return text


def redact_records(keys: Iterable[str]) -> None:
    """From now on the records of our loggers are made without secrets, and without these keys;
    those of all other loggers stay as they are."""
    global _keys
    _keys = tuple(key for key in keys if len(key) >= MIN_KEY)
    make = logging.getLogRecordFactory()
    if not isinstance(make, RedactingFactory):
        logging.setLogRecordFactory(RedactingFactory(make))


@dataclass(frozen=True, slots=True)
class RedactingFactory:
    make: Callable[..., logging.LogRecord]

    def __call__(self, name: str | None, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self.make(name, *args, **kwargs)
        if name is not None and _is_ours(name):  # a copy of a record has no name yet
            _redact(record)
            if record.levelno >= logging.WARNING:
                last_warnings.note(record)
        return record


def _is_ours(logger: str) -> bool:
    return logger.partition(".")[0] in OURS


def _redact(record: logging.LogRecord) -> None:
    """Arguments each, since formatters of access logs read them, and what they make together. A
    traceback that needs it stays as text alone."""
    try:
        said = record.getMessage()
    except Exception:  # logging would report it with the arguments
        record.msg = said = f"A message could not be formatted: {record.msg}"
        record.args = ()
    values = record.args.values() if isinstance(record.args, Mapping) else ()
    whole = "\n".join((said, *[str(value) for value in values if not _is_harmless(value)]))
    if redact(whole) != whole:  # hardly ever; to search each takes several times as long
        _redact_message(record, said)
    if record.exc_info:
        text = logging.Formatter().formatException(record.exc_info)
        if (traceback := redact(text)) != text:
            record.exc_info, record.exc_text = None, traceback
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


def _redact_message(record: logging.LogRecord, said: str) -> None:
    if isinstance(record.args, Mapping):  # fields, which the message need not name
        record.args = {name: _redacted(value) for name, value in record.args.items()}
    if (message := redact(said)) != said:
        if record.args and not isinstance(record.args, Mapping):
            record.args = tuple(map(_redacted, record.args))
        if record.getMessage() != message:
            record.msg, record.args = message, ()


def _is_harmless(value: object) -> bool:
    return value is None or isinstance(value, int | float)


def _redacted(value: object) -> object:
    """Itself, or its text where that holds something secret."""
    if _is_harmless(value):
        return value
    text = str(value)
    redacted = redact(text)
    return value if redacted == text else redacted


# --- lines --------------------------------------------------------------------------------------

BUFFER_SECONDS: Final = 0.1
BUFFER_CHARACTERS: Final = 64 * 1024

_encoder: Final = msgspec.json.Encoder(enc_hook=str)
_node = ""


def name_process(node: str) -> None:
    """From now on each line has the id of this process's node."""
    global _node
    _node = node


# What a terminal would obey; names of channels and events may hold it.
CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}
JSON_CONTROLS: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}  # JSON has the others


class RedactingFormatter(logging.Formatter):
    """A line for each record: a JSON object, or for people. Without secrets and control characters;
    tracebacks are searched, too.

    structlog renders it, without its own formatter for the records of others, which copies each:
    that was half of the time of a line.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._render: Processor = JSONRenderer(_json) if as_json else _readable

    def format(self, record: logging.LogRecord) -> str:
        return cast("str", self._render(None, record.levelname, _line(record)))


def _line(record: logging.LogRecord) -> EventDict:
    """What a line has, in its order: when, how grave, from where, what, its fields, the process."""
    ours, fields = _is_ours(record.name), record.args
    clean = str if ours else redact  # ours are made without secrets
    line: EventDict = {
        "time": _time_of(record),
        "level": record.levelname,
        "logger": record.name,
        "event": clean(record.getMessage()),
    }
    if ours and isinstance(fields, Mapping):
        line.update((name, value) for name, value in fields.items() if value is not None)
    if _node:
        line["node"] = _node
    line["pid"] = record.process
    if record.exc_text or record.exc_info:
        line["exception"] = clean(record.exc_text or _text_of(record))
    if record.stack_info:
        line["stack"] = clean(record.stack_info)
    return line


def _time_of(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _json(line: EventDict, **options: object) -> str:
    """A fourth of what `json` takes, which is for text with half a character in it."""
    try:
        text = _encoder.encode(line).decode()
    except UnicodeEncodeError:
        return json.dumps(line, default=str)
    return text if text.isprintable() else text.translate(JSON_CONTROLS)


def _text_of(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def _readable(logger: object, method: str, line: EventDict) -> str:
    about = f"{line.pop('time')} {line.pop('level')} {line.pop('logger')}[{line.pop('pid')}]"
    first = [f"{about}: {line.pop('event')}"]
    below = [line.pop(name) for name in ("exception", "stack") if name in line]
    line.pop("node", None)  # the process is enough for people
    fields = (f"{name}={value!r}" for name, value in line.items())
    text = "\n".join((" ".join((*first, *fields)), *below))
    return text if text.isprintable() else text.translate(CONTROLS)


class BufferedStreamHandler(logging.StreamHandler[TextIO]):
    """Writes lines together, BUFFER_SECONDS after the first of them or with BUFFER_CHARACTERS of
    them; a warning, and what came before it, at once. Each write gives up Python's lock: with two
    lines for a connection, each written alone, the writer's batches were small, and a connection
    took a third longer (docs/decisions/0014)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._size = 0  # characters
        os.register_at_fork(before=self.flush)  # else both processes would write them

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
            self._lines.append(line)
            self._size += len(line)
            if record.levelno >= logging.WARNING or self._size >= BUFFER_CHARACTERS:
                self.flush()
            elif len(self._lines) == 1:
                self._flush_soon()
        except Exception:  # as every handler: what cannot be logged stops nobody
            self.handleError(record)

    def _flush_soon(self) -> None:
        timer = threading.Timer(BUFFER_SECONDS, self.flush)
        timer.daemon = True  # logging.shutdown writes the last lines
        try:
            timer.start()
        except RuntimeError:  # there is no thread to be had, as at the end of the process
            self.flush()

    def flush(self) -> None:
        self.acquire()
        try:
            lines, self._lines, self._size = self._lines, [], 0
            if lines:
                self.stream.write("".join(lines))
                super().flush()
        finally:
            self.release()


# --- fewer lines --------------------------------------------------------------------------------

SUM_SECONDS: Final = 60
MAX_WARNINGS: Final = 20
MAX_WARNING: Final = 300
STRANGERS: Final = (  # loggers whose warnings anybody can cause
    *("axes.", "django.security.", "django.request", "uvicorn.error"),
    *("chat.actions.connections", "chat.connections.handshake", "chat.runtime.connection"),
    *("chat.server.admission", "chat.broker.dropped", "chat.http.access"),
)


class ThrottleFilter(logging.Filter):
    """At most one line a second of each message, whatever its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if abs(record.created - self._logged_at.get(record.msg, -inf)) < 1:
            return False
        self._logged_at[record.msg] = record.created
        return True


class StrangersFilter(logging.Filter):
    """What any stranger can cause: the first line of a kind is written at once, those that follow
    within SUM_SECONDS are counted, and one line says how many. They are no errors of ours: Django's
    about a Host that is not allowed, or about an answer of /readyz, are warnings, the first without
    a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}  # beyond the first
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        if getattr(record, "status_code", None) == 503:  # of a probe; the log has the reason
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        if record.levelno != logging.WARNING or not record.name.startswith(STRANGERS):
            return True
        kind = _kind(record)
        with self._lock:
            if not self._counts:
                timer = threading.Timer(SUM_SECONDS, self.sum_up)
                timer.daemon = True
                timer.start()
            count = self._counts[kind] = self._counts.get(kind, -1) + 1
        return not count

    def sum_up(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, {}
        more = [f"{count:,} x {kind}" for kind, count in counts.items() if count]
        if more:
            total = sum(counts.values())
            log.warning("%d more warnings in the last minute: %s", total, "; ".join(more))


class Warned(NamedTuple):
    time: str
    level: str
    logger: str
    said: str
    times: int


class LastWarnings:
    """What our own loggers have warned of last, however often: MAX_WARNINGS kinds, of each the last
    one, cut to MAX_WARNING characters, so that a flood of one kind hides no other. Records come
    without secrets, from any thread."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, Warned] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, record: logging.LogRecord) -> None:
        fields = record.args if isinstance(record.args, Mapping) else {}
        words = record.getMessage(), *(f"{name}={value}" for name, value in fields.items())
        said = " ".join(words)[:MAX_WARNING].encode(errors="replace").decode()  # half a character
        kind = f"{record.name} {_kind(record)}"[:MAX_WARNING]
        about = _time_of(record), record.levelname, record.name, said
        with self._lock:
            before = self._kinds.pop(kind, None)
            self._kinds[kind] = Warned(*about, before.times + 1 if before else 1)
            if len(self._kinds) > MAX_WARNINGS:
                self._kinds.popitem(last=False)

    def last(self) -> list[Warned]:
        """The latest first."""
        with self._lock:
            return [*reversed(self._kinds.values())]


last_warnings: Final = LastWarnings()
"""Of this process, for the live page."""


def _kind(record: logging.LogRecord) -> str:
    """Without what a stranger has sent: so there are few."""
    if record.name.startswith("django."):  # what was sent is in its messages
        return f"{record.name} {getattr(record, 'status_code', '')}".strip()
    status = record.args.get("status", "") if isinstance(record.args, Mapping) else ""
    return f"{re.sub(r'%\w', '…', str(record.msg))} {status}".strip()

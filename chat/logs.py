"""Log lines, for Django's LOGGING: no token, secret or query string gets into one."""

import logging
import re
import threading
from math import inf
from typing import Final

log = logging.getLogger("chat.logs")

# A query string (tokens and connection secrets travel in it), or a JWT on its own.
SECRETS: Final = re.compile(r"\?[^\s\"'<>]*=[^\s\"'<>]*|eyJ[\w-]{5,}\.[\w-]+\.[\w-]*")

SUM_SECONDS: Final = 60
STRANGERS: Final = (  # loggers whose warnings anybody can cause
    *("django.security.", "django.request", "uvicorn.error"),
    *("chat.actions.connections", "chat.connections.handshake", "chat.runtime.connection"),
    "chat.server.admission",
)


class RedactingFormatter(logging.Formatter):
    """Time, level, logger and message, without secrets; tracebacks are searched, too."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return SECRETS.sub("", super().format(record))


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
    about a Host that is not allowed is a warning, without a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}  # beyond the first
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
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


def _kind(record: logging.LogRecord) -> str:
    """Without what a stranger has sent: so there are few."""
    if record.name.startswith("django."):  # what was sent is in its messages
        return f"{record.name} {getattr(record, 'status_code', '')}".strip()
    return re.sub(r"%\w", "…", str(record.msg))

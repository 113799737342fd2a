"""Log lines, for Django's LOGGING: no token, secret or query string gets into one."""

import logging
import re
from math import inf
from typing import Final

# A query string (tokens and connection secrets travel in it), or a JWT on its own.
SECRETS: Final = re.compile(r"\?[^\s\"'<>]*=[^\s\"'<>]*|eyJ[\w-]{5,}\.[\w-]+\.[\w-]*")


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
    """What any stranger can send (a Host that is not allowed) is no error of ours: a line of
    Django's about it is a warning, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = None
        return True

"""How log lines look. No token, secret or query string is written, whoever logs it."""

import logging
import re
from math import inf

# A query string (tokens and connection secrets travel in it), or a JWT on its own.
SECRETS = re.compile(r"\?[^\s\"'<>]*=[^\s\"'<>]*|eyJ[\w-]{5,}\.[\w-]+\.[\w-]*")


class SecretFreeFormatter(logging.Formatter):
    """Time, level, logger and message; also a traceback is searched for secrets."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return SECRETS.sub("", super().format(record))


class OnceASecond(logging.Filter):
    """Of what a logger says again and again, whatever about, a line a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if abs(record.created - self._said_at.get(record.msg, -inf)) < 1:
            return False
        self._said_at[record.msg] = record.created
        return True

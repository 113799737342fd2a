"""What servers of this process's tests have written is searched for secrets, once, at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

JWT = re.compile(r"eyJ[\w-]{5,}+\.[\w-]++\.")
PIECE = re.compile(r"[\w-]{20,}+")  # what is shorter may be a word
QUERY = re.compile(r"\?\S*")
KEYS = ("SECRET_KEY", "_ENCODED", "API_SECRET_KEY_1", "API_SECRET_KEY_2", "WEBHOOK_SECRET")

_secret: set[str] = set()
_logs: dict[Path, str] = {}  # and the kind of server that writes it


def note(secret: str) -> None:
    """This must be written nowhere."""
    _secret.update(PIECE.findall(secret))


def watch(log: Path, kind: str, env: Mapping[str, str]) -> None:
    """A server writes here, and these are its settings."""
    _logs[log] = kind
    for name, value in env.items():
        if name.endswith(KEYS):
            note(value)


def disclosed() -> list[str]:
    """Where a secret was written, and the line. daphne's own access log has whole addresses, with
    the queries of HTTP calls (docs/deploy.md)."""
    return [f"{log}: {line}" for log, kind in _logs.items() for line in lines_of(log, kind)]


def lines_of(log: Path, kind: str) -> Iterator[str]:
    """Those with a secret in them."""
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        without = QUERY.sub("", line) if kind == "daphne" else line
        if JWT.search(without) or not _secret.isdisjoint(PIECE.findall(without)):
            yield line

"""What recordings and rows must look like (design.md section 3). Each check gives what is wrong:
an empty list where a promise held."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from tests.support.servers import Server
from tests.support.stored import SQLITE, rows


def missing(acknowledged: Iterable[str], history: Iterable[str]) -> list[str]:
    """P1: what somebody was told of, or saw, and history does not hold."""
    return sorted(set(acknowledged) - set(history))


def inversions(ids: Sequence[str]) -> list[tuple[str, str]]:
    """P2: neighbours that do not increase; in a live recording and in history alike."""
    return [(one, other) for one, other in pairwise(ids) if one >= other]


def duplicates(ids: Sequence[str]) -> list[str]:
    """P3: what one connection got more than once."""
    seen: set[str] = set()
    return [id for id in ids if id in seen or seen.add(id)]  # type: ignore[func-returns-value]


def gaps(
    live: Sequence[str],
    history: Sequence[str],
    *,
    first: str | None = None,
    last: str | None = None,
) -> list[str]:
    """P3: what one connection did not get between its first message and its last one. `first`:
    what it must have begun with; `last`: where it survived, what it must have got."""
    heard = set(live)
    begin, end = first or min(live, default=""), last or max(live, default="")
    return [id for id in history if begin <= id <= end and id not in heard]


def disorder(live: Sequence[str], history: Sequence[str]) -> list[str]:
    """P2: what came live in another order than history has it, or is not there at all."""
    heard = set(live)
    kept = [id for id in history if id in heard]
    return [one for one, other in zip(live, kept, strict=False) if one != other] + list(
        live[len(kept) :]
    )


def connection_problems(
    live: Sequence[str],
    history: Sequence[str],
    *,
    first: str | None = None,
    last: str | None = None,
) -> dict[str, list[Any]]:
    """All that one connection's recording is held against."""
    return {
        "messages missing on a connection": gaps(live, history, first=first, last=last),
        "messages out of order": [*disorder(live, history), *inversions(live)],
        "messages twice on a connection": duplicates(live),
    }


def partial_rows(server: Server, channel: str) -> list[str]:
    """P1: what is half in the database. For a channel in which nothing but messages changed: their
    numbers are then all there, from 1 up to the channel's."""
    problems = [f"{name} is at {number}, but has {count} messages up to {top}, {last} before {id}"
                for name, number, last, count, top, id in rows(server, HEADS)
                if name == channel and (not number == count == top or last != id)]  # fmt: skip
    problems += [f"{one} does not fit {table}" for table, one in _orphans(server)]
    return problems + [
        f"the data of {id} is not JSON" for id, data in rows(server, DATA) if not _is_json(data)
    ]


def row_inversions(server: Server) -> list[tuple[str, str]]:
    """P2: messages whose ids are not in the order of their numbers."""
    return [(one, other) for one, other in rows(server, INVERSIONS) if one]


HEADS = """
    SELECT c.name, c.number, c.last_message_id, count(m.id), max(m.number), max(m.id)
    FROM chat_channel c JOIN chat_message m ON m.channel_id = c.id
    GROUP BY c.name, c.number, c.last_message_id
"""
DATA = "SELECT id, data FROM chat_message"
INVERSIONS = """
    SELECT before, id FROM (
        SELECT lag(id) OVER (PARTITION BY channel_id ORDER BY number) AS before, id
        FROM chat_message
    ) AS pairs WHERE before >= id
"""


def _orphans(server: Server) -> list[tuple[str, Any]]:
    """SQLite alone: PostgreSQL takes none."""
    if not server.env["DATABASE_URL"].startswith(SQLITE):
        return []
    return [(row[0], row[1]) for row in rows(server, "PRAGMA foreign_key_check")]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True

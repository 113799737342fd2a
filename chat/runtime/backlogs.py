"""What waits in the database, of the whole site: work that is due, and rows that have expired.

It is read for those who ask for metrics, at most each LOOK_SECONDS, and no more than MAX_ROWS of a
kind.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import inf
from typing import Final, NamedTuple

from django.db.models import Model, QuerySet
from django.db.models.functions import Now

from chat.models import (
    Acknowledgement,
    BackendEvent,
    Deduplication,
    Deletion,
    Message,
    OutboxEntry,
    Schedule,
    StorageEntry,
)
from chat.protocol.errors import ProtocolError
from chat.store.reads import read
from tokens.models import UsedToken

LOOK_SECONDS: Final = 15.0
WAIT_SECONDS: Final = 1.0  # of one who asks; then the numbers of the look before count
MAX_ROWS: Final = 10_000
EXPIRING: Final[dict[str, type[Model]]] = {
    "messages": Message,
    "deletions": Deletion,
    "storage_entries": StorageEntry,
    "deduplications": Deduplication,
    "acknowledgements": Acknowledgement,
    "used_tokens": UsedToken,
}
"""Rows that `manage.py purge_expired` removes, by the names that it has for them."""


class Backlog(NamedTuple):
    rows: int  # MAX_ROWS: or more
    oldest_seconds: float  # how long the first of them has waited; 0: there is none


class Found(NamedTuple):
    work: Mapping[str, Backlog]
    expired: Mapping[str, Backlog]


NOTHING: Final = Found({}, {})


class Backlogs:
    """`answered`: whether the database answered the last look."""

    def __init__(self) -> None:
        self.found = NOTHING
        self.answered = False
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = -inf  # by the loop's clock

    async def look(self) -> None:
        """Begins a look where the last one is old; waits for it a moment."""
        now = asyncio.get_running_loop().time()
        done = self._looking is None or self._looking.done()
        if done and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._looking = asyncio.create_task(self._look())
        if self._looking is not None:
            await asyncio.wait([self._looking], timeout=WAIT_SECONDS)
            self.answered = self.answered and self._looking.done()

    async def _look(self) -> None:
        try:
            self.found, self.answered = await read(find), True
        except ProtocolError:
            self.found, self.answered = NOTHING, False


def find() -> Found:
    events, entries = BackendEvent.objects.all(), OutboxEntry.objects.filter(parked_at=None)
    waiting, due = (
        events.filter(next_attempt_at__isnull=False),
        Schedule.objects.filter(parked_at=None, due_at__lte=Now()),
    )
    work = {
        "scheduled": _backlog(due, "due_at", "due_at"),
        "outbox": _backlog(entries, "id", "created_at"),
        "webhook": _backlog(waiting, "id", "created_at"),
    }
    return Found(work, dict(_expired()))


def _expired() -> Iterator[tuple[str, Backlog]]:
    for name, model in EXPIRING.items():
        rows: QuerySet[Model] = QuerySet(model).filter(expires_at__lte=Now())
        yield name, _backlog(rows, "expires_at", "expires_at")


def _backlog(rows: QuerySet[Model], order: str, since: str) -> Backlog:
    first = rows.order_by(order).values_list(since, Now())[:1]
    number = rows.order_by()[:MAX_ROWS].count()
    oldest: list[tuple[datetime, datetime]] = list(first)
    return Backlog(number, sum((now - then).total_seconds() for then, now in oldest))

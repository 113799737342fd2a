"""The queue of backend events for the webhook, as rows: whose turn it is, and what became of it.

The events of a stream are delivered by one process at a time, the oldest first: moving the due time
of the oldest one ahead claims its whole stream until then. A parked event has no due time, and
holds up nothing.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db.models.functions import Now

from chat.models import BackendEvent
from chat.store.operations import Operation
from chat.store.transaction import Transaction, marks

CLAIM_SECONDS: Final = 20
BATCH: Final = 20  # events in a claim
MAX_DUE: Final = 500  # events looked at to find the streams that have one due
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 3600.0
GIVE_UP_SECONDS: Final = 24 * 3600
MAX_ERROR: Final = 256
GONE: Final = "HTTP 410"  # the receiver will never take this one

OLDEST: Final = (
    "SELECT id, webhook_id, body, attempts, next_attempt_at <= ? FROM chat_backendevent"
    " WHERE stream = ? AND next_attempt_at IS NOT NULL ORDER BY id LIMIT ?"
)
CLAIM: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = ?"
    " WHERE id = ? AND next_attempt_at <= ? RETURNING id"
)
LOCK: Final = "SELECT id FROM chat_backendevent WHERE id = ?"
POSTPONE: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = oldest.next_attempt_at"
    " FROM (SELECT next_attempt_at FROM chat_backendevent WHERE id = ?) AS oldest"
    " WHERE id IN ({}) AND chat_backendevent.next_attempt_at < oldest.next_attempt_at"
)
DELETE: Final = "DELETE FROM chat_backendevent WHERE id IN ({})"
FAIL: Final = (
    "UPDATE chat_backendevent SET attempts = attempts + 1, last_error = ?,"
    " next_attempt_at = CASE WHEN created_at <= ? THEN NULL ELSE ? END"
    " WHERE id = ? RETURNING next_attempt_at IS NULL"
)
RELEASE: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = ? WHERE id = (SELECT id FROM chat_backendevent"
    " WHERE stream = ? AND next_attempt_at IS NOT NULL ORDER BY id LIMIT 1)"
)


class QueuedEvent(NamedTuple):
    """An event to be sent; `attempts` have failed."""

    id: int
    webhook_id: str
    body: str
    attempts: int


@dataclass(slots=True, frozen=True)
class Batch:
    """The oldest events of a stream, claimed for CLAIM_SECONDS."""

    stream: str
    events: list[QueuedEvent]


def due() -> list[tuple[int, str]]:
    """The ids and streams of events whose time has come, MAX_DUE at most."""
    rows = BackendEvent.objects.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at")
    return list(rows.values_list("id", "stream")[:MAX_DUE])


@dataclass(slots=True)
class Claim(Operation[list[Batch]]):
    """Gives a batch of each of these streams whose oldest event is due and not claimed.

    `streams` -> events of it that `due` found: they are postponed to the oldest one's time, so
    that the next look finds other streams.
    """

    streams: Mapping[str, Collection[int]]

    def apply(self, transaction: Transaction) -> list[Batch]:
        batches = (_claim(transaction, *item) for item in self.streams.items())
        return [batch for batch in batches if batch is not None]


def _claim(transaction: Transaction, stream: str, found: Collection[int]) -> Batch | None:
    now = transaction.moment(transaction.now)
    rows: list[tuple[int, str, str, int, bool]] = transaction.select(OLDEST, [now, stream, BATCH])
    if not rows:
        return None
    oldest, *_, is_due = rows[0]
    until = transaction.after(CLAIM_SECONDS)
    claimed = is_due and bool(transaction.select(CLAIM, [until, oldest, now]))
    # An event that another process settles at this moment makes the next one due, which must not
    # be postponed after that: so this one must stay until the commit.
    lock = f"{LOCK} FOR UPDATE SKIP LOCKED" if transaction.postgresql else LOCK
    if found and bool(transaction.select(lock, [oldest])):
        transaction.execute(POSTPONE.format(marks(found)), [oldest, *found])
    return Batch(stream, [QueuedEvent(*row[:4]) for row in rows]) if claimed else None


@dataclass(slots=True)
class Settle(Operation[bool]):
    """Ends a claim: some events are delivered and, where one failed, why.

    That one is retried, later each time, until it is a day old; then, or where it is GONE, it is
    parked. Gives whether it is. Any other event that comes first in the stream now is due at once.
    """

    stream: str
    delivered: Sequence[int]
    failed: QueuedEvent | None = None
    error: str = ""

    def apply(self, transaction: Transaction) -> bool:
        if self.delivered:
            transaction.execute(DELETE.format(marks(self.delivered)), self.delivered)
        parked = self.failed is not None and self._fail(transaction, self.failed)
        if parked or self.failed is None:
            transaction.execute(RELEASE, [transaction.moment(transaction.now), self.stream])
        return parked

    def _fail(self, transaction: Transaction, event: QueuedEvent) -> bool:
        """Whether it is parked."""
        too_old = transaction.after(0 if self.error == GONE else -GIVE_UP_SECONDS)
        retry_at = transaction.after(retry_seconds(event.attempts))
        parked: list[tuple[bool]] = transaction.select(
            FAIL, [self.error[:MAX_ERROR], too_old, retry_at, event.id]
        )
        return bool(parked and parked[0][0])


def retry_seconds(failed: int) -> float:
    """How long to wait after an attempt, when `failed` others had failed before it: twice as long
    each time, up to an hour, and no two alike."""
    wait: float = min(FIRST_RETRY_SECONDS * 2 ** min(failed, 20), LAST_RETRY_SECONDS)
    return wait * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, hides nothing

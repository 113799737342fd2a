"""The rows that the webhook is still to be told: whose turn it is, and what became of it.

The events of a stream are delivered by one process at a time, the oldest first: whoever moves the
due time of the oldest ahead has all of the stream until then. What is parked is out of the way.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db.models.functions import Now

from chat.models import BackendEvent
from chat.store.operations import Operation
from chat.store.transaction import Transaction

CLAIM_SECONDS: Final = 20
RUN: Final = 20  # events that a claim brings
SURVEY: Final = 500  # events looked at to find the streams that have one due
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 3600.0
GIVE_UP_SECONDS: Final = 24 * 3600
MAX_ERROR: Final = 256

OLDEST: Final = (
    "SELECT id, webhook_id, body, attempts, next_attempt_at <= ? FROM chat_backendevent"
    " WHERE stream = ? AND next_attempt_at IS NOT NULL ORDER BY id LIMIT ?"
)
CLAIM: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = ?"
    " WHERE id = ? AND next_attempt_at <= ? RETURNING id"
)
POSTPONE: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = oldest.next_attempt_at"
    " FROM (SELECT next_attempt_at FROM chat_backendevent WHERE id = ?) AS oldest"
    " WHERE id IN ({}) AND chat_backendevent.next_attempt_at < oldest.next_attempt_at"
)
DELIVERED: Final = "DELETE FROM chat_backendevent WHERE id IN ({})"
FAILED: Final = (
    "UPDATE chat_backendevent SET attempts = attempts + 1, last_error = ?,"
    " next_attempt_at = CASE WHEN created_at <= ? THEN NULL ELSE ? END"
    " WHERE id = ? RETURNING next_attempt_at IS NULL"
)
RELEASE: Final = (
    "UPDATE chat_backendevent SET next_attempt_at = ? WHERE id = (SELECT id FROM chat_backendevent"
    " WHERE stream = ? AND next_attempt_at IS NOT NULL ORDER BY id LIMIT 1)"
)


class Waiting(NamedTuple):
    """An event to be sent; `attempts` have failed."""

    id: int
    webhook_id: str
    body: str
    attempts: int


@dataclass(slots=True, frozen=True)
class Run:
    """The oldest events of a stream, its own for CLAIM_SECONDS."""

    stream: str
    events: list[Waiting]


def due() -> list[tuple[int, str]]:
    """The ids and streams of events whose time has come, SURVEY at most."""
    rows = BackendEvent.objects.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at")
    return list(rows.values_list("id", "stream")[:SURVEY])


@dataclass(slots=True)
class Claim(Operation):
    """Gives a run of each of these streams whose oldest event is due and nobody else's.

    `streams` -> events of it that a survey found: they are put off until the oldest one's time, so
    that the next survey finds others.
    """

    streams: Mapping[str, Collection[int]]

    def apply(self, transaction: Transaction) -> list[Run]:
        runs = (_claim(transaction, *item) for item in self.streams.items())
        return [run for run in runs if run is not None]


def _claim(transaction: Transaction, stream: str, found: Collection[int]) -> Run | None:
    now = transaction.moment(transaction.now)
    rows = transaction.select(OLDEST, [now, stream, RUN])
    if not rows:
        return None
    oldest, *_, is_due = rows[0]
    until = transaction.after(CLAIM_SECONDS)
    claimed = is_due and transaction.select(CLAIM, [until, oldest, now])
    if found and _stays(transaction, oldest):
        transaction.execute(POSTPONE.format(_marks(found)), [oldest, *found])
    return Run(stream, [Waiting(*row[:4]) for row in rows]) if claimed else None


def _stays(transaction: Transaction, id: int) -> bool:
    """Whether an event is there until the commit. One that another process settles at this moment
    makes the next one due, which must not be put off after that."""
    sql = "SELECT id FROM chat_backendevent WHERE id = ?"
    if transaction.postgresql:
        sql += " FOR UPDATE SKIP LOCKED"
    return bool(transaction.select(sql, [id]))


@dataclass(slots=True)
class Settle(Operation):
    """Ends a run: some are delivered and, where one was not, why.

    That one is tried again, later each time, until it is a day old; then it is parked. Gives
    whether it was. Whatever else comes first in the stream is due now.
    """

    stream: str
    delivered: Sequence[int]
    failed: Waiting | None = None
    error: str = ""
    for_good: bool = False

    def apply(self, transaction: Transaction) -> bool:
        if self.delivered:
            marks = _marks(self.delivered)
            transaction.execute(DELIVERED.format(marks), list(self.delivered))
        parked = self.failed is not None and self._fail(transaction, self.failed)
        if parked or self.failed is None:
            now = transaction.moment(transaction.now)
            transaction.execute(RELEASE, [now, self.stream])
        return parked

    def _fail(self, transaction: Transaction, event: Waiting) -> bool:
        """Whether it is parked."""
        too_old = transaction.after(0 if self.for_good else -GIVE_UP_SECONDS)
        again = transaction.after(retry_seconds(event.attempts))
        found = transaction.select(FAILED, [self.error[:MAX_ERROR], too_old, again, event.id])
        return bool(found and found[0][0])


def _marks(values: Collection[int]) -> str:
    return ",".join("?" * len(values))


def retry_seconds(failed: int) -> float:
    """How long to wait after an attempt, when `failed` others had failed before it: twice as long
    each time, up to an hour, and no two alike."""
    wait: float = min(FIRST_RETRY_SECONDS * 2 ** min(failed, 20), LAST_RETRY_SECONDS)
    return wait * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, hides nothing

"""Sends backend events to WEBHOOK_URL: in order within a stream, streams beside each other, at
least once (protocol.md section 16).

They wait as rows. The events of a stream are delivered by one process at a time, the oldest first:
moving the due time of the oldest one ahead claims its whole stream until then. A parked event has
no due time, and holds up nothing. The sender of each process is notified at once of what its own
process wrote, and looks each second for what others left and what is to be retried.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

import httpx
from django.db.models.functions import Now
from standardwebhooks import Webhook as Signer

from chat.counts import counts
from chat.models import BackendEvent
from chat.protocol.errors import ProtocolError
from chat.store.reads import read
from chat.store.reports import Report, committed
from chat.store.transaction import Operation, Transaction, marks
from chat.store.writer import Writer

log = logging.getLogger("chat.webhook")

STREAMS: Final = 16  # delivered beside each other
MAX_CANDIDATES: Final = 10_000
TIMEOUT_SECONDS: Final = 10
MARGIN_SECONDS: Final = 4
POLL_SECONDS: Final = 1.0
BACKLOG_SECONDS: Final = 0.05  # to the next look, where the last one did not find all
ANSWER_BYTES: Final = 64 * 1024  # that are read of an answer
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
    id: int
    webhook_id: str
    body: str
    attempts: int  # that failed


class Batch(NamedTuple):
    """The oldest events of a stream, claimed for CLAIM_SECONDS."""

    stream: str
    events: list[QueuedEvent]


def due() -> list[tuple[int, str]]:
    """The ids and streams of events whose time has come, MAX_DUE at most."""
    rows = BackendEvent.objects.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at")
    return list(rows.values_list("id", "stream")[:MAX_DUE])


@dataclass(slots=True)
class Claim(Operation[list[Batch]]):
    """Gives a batch of each of these streams whose oldest event is due and not claimed. The events
    of a stream that `due` found are postponed to its oldest one's time, so that the next look finds
    other streams."""

    streams: Mapping[str, Collection[int]]

    def apply(self, transaction: Transaction) -> list[Batch]:
        batches = (_claim(transaction, *item) for item in self.streams.items())
        return [batch for batch in batches if batch is not None]


def _claim(transaction: Transaction, stream: str, found: Collection[int]) -> Batch | None:
    now = transaction.after(0)
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
    """Ends a claim: some events are delivered and, where one failed, why. That one is retried,
    later each time, until it is a day old; then, or where it is GONE, it is parked. Gives whether
    it is. Any other event that comes first in the stream now is due at once."""

    stream: str
    delivered: Sequence[int]
    failed: QueuedEvent | None = None
    error: str = ""

    def apply(self, transaction: Transaction) -> bool:
        if self.delivered:
            transaction.execute(DELETE.format(marks(self.delivered)), self.delivered)
        parked = self.failed is not None and self._fail(transaction, self.failed)
        if parked or self.failed is None:
            transaction.execute(RELEASE, [transaction.after(0), self.stream])
        return parked

    def _fail(self, transaction: Transaction, event: QueuedEvent) -> bool:
        """Whether it is parked."""
        too_old = transaction.after(0 if self.error == GONE else -GIVE_UP_SECONDS)
        retry_at = transaction.after(retry_seconds(event.attempts))
        values = [self.error[:MAX_ERROR], too_old, retry_at, event.id]
        parked: list[tuple[bool]] = transaction.select(FAIL, values)
        return bool(parked and parked[0][0])


def retry_seconds(failed: int) -> float:
    """How long to wait after an attempt, when `failed` others had failed before it."""
    wait: float = min(FIRST_RETRY_SECONDS * 2 ** min(failed, 20), LAST_RETRY_SECONDS)
    return wait * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, hides nothing


class Webhook:
    """`secret` is a `whsec_…`."""

    def __init__(self, writer: Writer, url: str, secret: str) -> None:
        self._writer = writer
        self._url = url
        self._signer = Signer(secret)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._candidates: dict[str, set[int]] = {}  # streams to claim, with events that are due
        self._busy: set[str] = set()
        self._poll_at = 0.0
        self._failing = False

    async def run(self) -> None:
        """Delivers until it is cancelled; the claims that it holds are given back then."""
        limits = httpx.Limits(max_connections=STREAMS, max_keepalive_connections=STREAMS)
        # Each request has one timeout for all of it; the library's are for each of its steps.
        client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113
        self._busy.clear()
        committed.connect(self._on_reports)
        try:
            async with client as http, asyncio.TaskGroup() as tasks:
                while True:
                    self._wake.clear()
                    for batch in await self._claim():
                        self._busy.add(batch.stream)
                        tasks.create_task(self._deliver(http, batch))
                    await self._pause()
        finally:
            committed.disconnect(self._on_reports)

    def _on_reports(self, reports: Sequence[Report], **kwargs: object) -> None:
        """In the thread that committed them."""
        streams = {report.stream for report in reports}
        self._loop.call_soon_threadsafe(self._add_candidates, *streams)

    def _add_candidates(self, *streams: str) -> None:
        for stream in streams:
            if len(self._candidates) < MAX_CANDIDATES:  # polling finds the others
                self._candidates.setdefault(stream, set())
        self._wake.set()

    def _next(self) -> list[str]:
        """The streams to claim now: as many as there is room for."""
        free = (stream for stream in self._candidates if stream not in self._busy)
        return list(islice(free, STREAMS - len(self._busy)))

    async def _claim(self) -> list[Batch]:
        try:
            if len(self._busy) < STREAMS and self._poll_at <= time.monotonic():
                await self._poll()
            streams = {stream: self._candidates.pop(stream) for stream in self._next()}
            return await self._writer.submit(Claim(streams)) if streams else []
        except ProtocolError as error:
            log.warning("The webhook's queue cannot be read: %s", error.in_full)
            return []

    async def _poll(self) -> None:
        """Looks for streams that have something due; soon again where there may be more."""
        self._poll_at = time.monotonic() + POLL_SECONDS
        found = await read(due)
        for id, stream in found:
            self._candidates.setdefault(stream, set()).add(id)
        if len(found) == MAX_DUE:
            self._poll_at = time.monotonic() + BACKLOG_SECONDS

    async def _pause(self) -> None:
        """Until there is a stream to claim, or it is time to poll."""
        if not self._next():
            room = len(self._busy) < STREAMS
            left = self._poll_at - time.monotonic() if room else POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(left, 0))

    async def _deliver(self, http: httpx.AsyncClient, batch: Batch) -> None:
        """Sends a batch until one fails, or the next one's answer might come after its claim."""
        until = time.monotonic() + CLAIM_SECONDS - MARGIN_SECONDS - TIMEOUT_SECONDS
        outcome = Settle(batch.stream, delivered := [])
        try:
            for event in batch.events:
                if time.monotonic() > until:
                    break
                if (failure := await self._send(http, event)) is not None:
                    outcome.failed, outcome.error = event, failure
                    break
                delivered.append(event.id)
        finally:
            await self._settle(outcome)

    async def _settle(self, outcome: Settle) -> None:
        try:
            parked = await self._writer.submit(outcome)
        except ProtocolError:  # the claim ends, and they are sent once more
            parked = False
        failed, error = outcome.failed, outcome.error
        if parked and failed is not None:
            counts.parked["webhook"] += 1
            log.error("Event %s of %s is parked: %s", failed.webhook_id, outcome.stream, error)
        if failed is not None and not self._failing:  # one that fails for hours is mentioned once
            log.warning("The webhook failed and is tried again: %s", error)
        if failed is None and self._failing:
            log.warning("The webhook takes events again")
        self._failing = failed is not None
        self._busy.discard(outcome.stream)
        self._add_candidates(*[outcome.stream] if parked or failed is None else [])

    async def _send(self, http: httpx.AsyncClient, event: QueuedEvent) -> str | None:
        """Why it was not taken; None where it was."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "chat-webhook",
            "webhook-id": event.webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event.webhook_id, now, event.body),
        }
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                http.stream("POST", self._url, content=event.body, headers=headers) as response,
            ):
                # Where that is all of it, its connection is kept for the next one.
                await anext(response.aiter_raw(ANSWER_BYTES), None)
        except TimeoutError:
            return f"no answer within {TIMEOUT_SECONDS} s"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        except Exception:  # the outermost edge: the other streams go on
            log.exception("An event could not be sent")
            return "it could not be sent; the server's log says why"
        return None if response.is_success else f"HTTP {response.status_code}"

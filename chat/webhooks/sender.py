"""Sends backend events to WEBHOOK_URL: in order within a stream, streams beside each other, at
least once (protocol.md section 16).

One in every process. It is notified at once of what its own process wrote, and looks each second
for what others left and what is to be retried.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import httpx
from standardwebhooks import Webhook as Signer

from chat.protocol.errors import ProtocolError
from chat.store.listeners import report_listeners
from chat.store.reads import read
from chat.store.reports import Report
from chat.store.writer import Writer
from chat.webhooks.queue import CLAIM_SECONDS, MAX_DUE, Batch, Claim, QueuedEvent, Settle, due

log = logging.getLogger("chat.webhook")

STREAMS: Final = 16  # delivered beside each other
MAX_CANDIDATES: Final = 10_000
TIMEOUT_SECONDS: Final = 10
MARGIN_SECONDS: Final = 4
POLL_SECONDS: Final = 1.0
BACKLOG_SECONDS: Final = 0.05  # to the next look, where the last one did not find all
ANSWER_BYTES: Final = 64 * 1024  # that are read of an answer, so that its connection can be kept
AGENT: Final = "chat-webhook"


class Webhook:
    """Delivers what the writer's transactions leave; `secret` is a `whsec_…`."""

    def __init__(self, writer: Writer, url: str, secret: str) -> None:
        self._writer = writer
        self._url = url
        self._signer = Signer(secret)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._candidates: dict[str, set[int]] = {}  # streams to claim, with what `due` found
        self._busy: set[str] = set()
        self._poll_at = 0.0
        self._failing = False

    async def run(self) -> None:
        """Delivers until it is cancelled; the claims that it holds are given back then."""
        limits = httpx.Limits(max_connections=STREAMS, max_keepalive_connections=STREAMS)
        # Each request has one timeout for all of it; the library's are for each of its steps.
        client = httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113
        report_listeners.add(self._on_reports)
        try:
            async with client as http, asyncio.TaskGroup() as tasks:
                while True:
                    self._wake.clear()
                    for batch in await self._claim():
                        self._busy.add(batch.stream)
                        tasks.create_task(self._deliver(http, batch))
                    await self._pause()
        finally:
            report_listeners.discard(self._on_reports)

    # --- whose turn it is -------------------------------------------------------------------

    def _on_reports(self, reports: Sequence[Report]) -> None:
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
            log.warning("The webhook's queue cannot be read: %s", error.message)
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
        if self._next():
            return
        room = len(self._busy) < STREAMS
        left = self._poll_at - time.monotonic() if room else POLL_SECONDS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(left, 0))

    # --- delivering -------------------------------------------------------------------------

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
        self._log(outcome, parked)
        self._busy.discard(outcome.stream)
        again = [outcome.stream] if parked or outcome.failed is None else []
        self._add_candidates(*again)

    def _log(self, outcome: Settle, parked: bool) -> None:
        """A receiver that fails for hours is mentioned once."""
        failed, error = outcome.failed, outcome.error
        if parked and failed is not None:
            log.error("Event %s of %s is parked: %s", failed.webhook_id, outcome.stream, error)
        if failed is not None and not self._failing:
            log.warning("The webhook failed and is tried again: %s", error)
        if failed is None and self._failing:
            log.warning("The webhook takes events again")
        self._failing = failed is not None

    async def _send(self, http: httpx.AsyncClient, event: QueuedEvent) -> str | None:
        """Why it was not taken; None where it was."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": AGENT,
            "webhook-id": event.webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event.webhook_id, now, event.body),
        }
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                http.stream("POST", self._url, content=event.body, headers=headers) as response,
            ):
                await _read_some(response)
        except TimeoutError:
            return f"no answer within {TIMEOUT_SECONDS} s"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        except Exception:  # the outermost edge: the other streams go on
            log.exception("An event could not be sent")
            return "it could not be sent; the server's log says why"
        return None if response.is_success else f"HTTP {response.status_code}"


async def _read_some(response: httpx.Response) -> None:
    """Its connection is kept for the next one where all of the answer was read."""
    read = 0
    async for part in response.aiter_raw():
        read += len(part)
        if read > ANSWER_BYTES:
            return

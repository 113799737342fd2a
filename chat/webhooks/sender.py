"""Sends backend events to WEBHOOK_URL: in order within a stream, streams beside each other, at
least once (protocol.md section 16).

One in every process. It hears at once of what its own process wrote, and asks each second for
what others left and what is to be tried again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import httpx
from standardwebhooks import Webhook as Signer

from chat.protocol.errors import ProtocolError
from chat.store.listeners import wakers
from chat.store.reads import read
from chat.store.reports import Report
from chat.store.writer import Writer
from chat.webhooks.queue import CLAIM_SECONDS, SURVEY, Claim, Run, Settle, Waiting, due

log = logging.getLogger("chat.webhook")

STREAMS: Final = 16  # delivered beside each other
MAX_HEARD: Final = 10_000
TIMEOUT_SECONDS: Final = 10
MARGIN_SECONDS: Final = 4
POLL_SECONDS: Final = 1.0
BACKLOG_SECONDS: Final = 0.05
ANSWER_BYTES: Final = 64 * 1024  # that are read of an answer, so that its connection can be kept
AGENT: Final = "chat-webhook"
GONE: Final = "HTTP 410"  # it will never take this one


class Webhook:
    """Delivers what the writer's transactions leave; `secret` is a `whsec_…`."""

    def __init__(self, writer: Writer, url: str, secret: str) -> None:
        self._writer = writer
        self._url = url
        self._signer = Signer(secret)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._heard: dict[str, set[int]] = {}  # streams to look at, with what a survey found
        self._busy: set[str] = set()
        self._survey_at = 0.0
        self._failing = False

    async def run(self) -> None:
        """Delivers until it is cancelled; what is under way then is given back."""
        wakers.add(self._hear)
        try:
            async with self._client() as http, asyncio.TaskGroup() as tasks:
                while True:
                    await self._start_runs(http, tasks)
        finally:
            wakers.discard(self._hear)

    def _client(self) -> httpx.AsyncClient:
        """Each request has a time for all of it; the library's are for each of its steps."""
        limits = httpx.Limits(max_connections=STREAMS, max_keepalive_connections=STREAMS)
        return httpx.AsyncClient(timeout=None, trust_env=False, limits=limits)  # noqa: S113

    # --- whose turn it is -------------------------------------------------------------------

    def _hear(self, reports: Sequence[Report]) -> None:
        """In the thread that committed them."""
        streams = {report.stream for report in reports}
        self._loop.call_soon_threadsafe(self._look_at, streams)

    def _look_at(self, streams: Iterable[str]) -> None:
        for stream in streams:
            if len(self._heard) < MAX_HEARD:  # surveys find the others
                self._heard.setdefault(stream, set())
        self._wake.set()

    @property
    def _room(self) -> int:
        return STREAMS - len(self._busy)

    def _next(self) -> list[str]:
        """The streams to look at now: as many as there is room for."""
        free = (stream for stream in self._heard if stream not in self._busy)
        return list(islice(free, self._room))

    async def _start_runs(self, http: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        """Starts what can be, and waits where nothing can."""
        self._wake.clear()
        try:
            if self._room and self._survey_at <= time.monotonic():
                await self._survey()
            runs = await self._claim()
        except ProtocolError as error:
            log.warning("What the webhook is to be told cannot be read: %s", error.message)
            runs = []
        for run in runs:
            self._busy.add(run.stream)
            tasks.create_task(self._deliver(http, run))
        if not self._next():
            await self._pause()

    async def _pause(self) -> None:
        """Until something is heard or delivered, or it is time for a survey."""
        left = self._survey_at - time.monotonic() if self._room else POLL_SECONDS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(left, 0))

    async def _survey(self) -> None:
        """Notes the streams that have something due; soon again where there may be more."""
        self._survey_at = time.monotonic() + POLL_SECONDS
        found = await read(due)
        for id, stream in found:
            self._heard.setdefault(stream, set()).add(id)
        if len(found) == SURVEY:
            self._survey_at = time.monotonic() + BACKLOG_SECONDS

    async def _claim(self) -> list[Run]:
        streams = {stream: self._heard.pop(stream) for stream in self._next()}
        if not streams:
            return []
        runs: list[Run] = await self._writer.submit(Claim(streams))
        return runs

    # --- delivering -------------------------------------------------------------------------

    async def _deliver(self, http: httpx.AsyncClient, run: Run) -> None:
        """Sends a run until one fails, or the next one's answer might come after its claim."""
        until = time.monotonic() + CLAIM_SECONDS - MARGIN_SECONDS - TIMEOUT_SECONDS
        outcome = Settle(run.stream, delivered := [])
        try:
            for event in run.events:
                if time.monotonic() > until:
                    break
                if (failure := await self._send(http, event)) is not None:
                    outcome.failed, outcome.error = event, failure
                    outcome.for_good = failure == GONE
                    break
                delivered.append(event.id)
        finally:
            await self._settle(run, outcome)

    async def _settle(self, run: Run, outcome: Settle) -> None:
        try:
            parked = await self._writer.submit(outcome)
        except ProtocolError:  # the claim ends, and they are sent once more
            parked = False
        self._say(run, outcome, parked)
        self._busy.discard(run.stream)
        again = [run.stream] if parked or outcome.failed is None else []
        self._look_at(again)

    def _say(self, run: Run, outcome: Settle, parked: bool) -> None:
        """A receiver that is away for hours is said to be so once."""
        if parked and outcome.failed is not None:
            log.error(
                "Event %s of %s is parked: %s", outcome.failed.webhook_id, run.stream, outcome.error
            )
        if outcome.failed is not None and not self._failing:
            log.warning("The webhook failed and is tried again: %s", outcome.error)
        if outcome.failed is None and self._failing:
            log.warning("The webhook takes events again")
        self._failing = outcome.failed is not None

    async def _send(self, http: httpx.AsyncClient, event: Waiting) -> str | None:
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

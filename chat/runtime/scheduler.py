"""Sees to it that what was scheduled is done at its time (protocol.md section 13).

Every process looks, so that any may end; the database lets one of them do it. A look finds what
becomes due before the next one, so that it is done at its time; of what this process stores it
hears at once. Reads, and writes only where something is due.
"""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from django.db import connection

from chat.protocol.errors import ProtocolError
from chat.store.listeners import schedule_listeners
from chat.store.operations import RunSchedule
from chat.store.reads import read
from chat.store.transaction import driver_cursor
from chat.store.writer import MAX_BATCH, Writer

log = logging.getLogger("chat.scheduler")

LOOK_SECONDS: Final = 0.75  # so late, at most, is what another process stores just before its time
RETRY_SECONDS: Final = 1.0
SOON: Final = (
    "SELECT s.id, c.name, {} FROM chat_schedule s JOIN chat_channel c ON c.id = s.channel_id"
    " WHERE s.due_at <= {} ORDER BY s.due_at, s.created_at, s.id LIMIT {}"
)
POSTGRESQL: Final = SOON.format(
    "extract(epoch FROM s.due_at - clock_timestamp())::float8",
    "clock_timestamp() + make_interval(secs => %s)",
    "%s",
)
SQLITE: Final = SOON.format("s.due_at", "?", "?")

Soon = tuple[str, str, float]
"""A schedule's id, its channel, and the seconds until it is due; not above 0: it is."""


async def run_for_ever(writer: Writer) -> None:
    """Does what is due, beginning with what became due while no server ran."""
    await Scheduler(writer).run()


class Scheduler:
    """Lives on the event loop."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._look_at = 0.0
        self._sooner = asyncio.Event()

    async def run(self) -> None:
        schedule_listeners.add(self._hear)
        try:
            while True:
                await self._pause()
                self._look_at = self._loop.time() + LOOK_SECONDS
                await self._look()
        finally:
            schedule_listeners.discard(self._hear)

    def _hear(self, seconds: float) -> None:
        """In the thread that committed it."""
        with contextlib.suppress(RuntimeError):  # this loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._plan, seconds)

    def _plan(self, seconds: float) -> None:
        """The next look is not later than that."""
        at = self._loop.time() + seconds
        if at < self._look_at:
            self._look_at = at
            self._sooner.set()

    async def _pause(self) -> None:
        while (left := self._look_at - self._loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sooner.wait(), left)
            self._sooner.clear()

    async def _look(self) -> None:
        try:
            self._plan(await run_due(self._writer))
        except ProtocolError as error:
            log.warning("What is due could not be done yet: %s", error.message)
            self._look_at = self._loop.time() + RETRY_SECONDS


async def run_due(writer: Writer) -> float:
    """Does what is due, up to MAX_BATCH at once, and gives the seconds until there is more to do,
    as far as it is known: LOOK_SECONDS at most.

    Raises SERVICE_UNAVAILABLE where the database did not take all of them.
    """
    soon = await read(_soon)
    runs = [writer.submit(RunSchedule(id, channel)) for id, channel, left in soon if left <= 0]
    for outcome in await asyncio.gather(*runs, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    if len(runs) == MAX_BATCH:
        return 0.0
    return min((left for _, _, left in soon if left > 0), default=LOOK_SECONDS)


def _soon() -> list[Soon]:
    """What is due before the next look, the longest due first, and then as it was scheduled."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = driver_cursor()
        if connection.vendor == "postgresql":
            soon = cursor.execute(POSTGRESQL, [LOOK_SECONDS, MAX_BATCH]).fetchall()
            return cast("list[Soon]", soon)
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = cursor.execute(SQLITE, [str(now + timedelta(seconds=LOOK_SECONDS)), MAX_BATCH])
        return [
            (id, channel, (datetime.fromisoformat(str(due)) - now).total_seconds())
            for id, channel, due in cast("list[tuple[str, str, object]]", rows.fetchall())
        ]

"""Sees to it that what was scheduled is done at its time (protocol.md section 13).

Every process looks, so that any may end; the database lets one of them do it. Reads, and writes
only where something is due.
"""

import asyncio
import logging
from typing import Final

from django.db.models.functions import Now

from chat.models import Schedule
from chat.protocol.errors import ProtocolError

from .operations import RunSchedule
from .reader import read
from .writer import MAX_BATCH, Writer

log = logging.getLogger("chat.scheduler")

LOOK_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 1.0


async def run_for_ever(writer: Writer) -> None:
    """Does what is due, beginning with what became due while no server ran."""
    while True:
        try:
            done = await run_due(writer)
        except ProtocolError as error:
            log.warning("What is due could not be done yet: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if done < MAX_BATCH:
                await asyncio.sleep(LOOK_SECONDS)


async def run_due(writer: Writer) -> int:
    """Does what is due, up to MAX_BATCH at once, and gives how many that were.

    Raises SERVICE_UNAVAILABLE where the database did not take all of them.
    """
    due = await read(_due)
    runs = [writer.submit(RunSchedule(id, channel)) for id, channel in due]
    for outcome in await asyncio.gather(*runs, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    return len(due)


def _due() -> list[tuple[str, str]]:
    """The ids and channels of the longest due, as they were scheduled."""
    rows = Schedule.objects.filter(due_at__lte=Now()).order_by("due_at", "created_at", "id")
    return list(rows.values_list("id", "channel__name")[:MAX_BATCH])

"""Sees to it that the expiry of storage entries becomes a backend event (protocol.md section 16).

Every process looks; the database lets one of them report each entry. Where nobody listens, nobody
looks.
"""

import asyncio
import logging
from typing import Final

from django.db.models.functions import Now

from chat.models import StorageEntry
from chat.protocol.errors import ProtocolError
from chat.store.listeners import listening
from chat.store.operations import ReportExpiries
from chat.store.reads import read
from chat.store.writer import Writer

log = logging.getLogger("chat.expiry")

LOOK_SECONDS: Final = 1.0
AT_ONCE: Final = 200


async def report_for_ever(writer: Writer) -> None:
    while True:
        try:
            found = await report_some(writer) if listening() else 0
        except ProtocolError as error:
            log.warning("What has expired could not be reported yet: %s", error.message)
            found = 0
        if found < AT_ONCE:
            await asyncio.sleep(LOOK_SECONDS)


async def report_some(writer: Writer) -> int:
    """Reports what has expired, AT_ONCE at most, and gives how much there was."""
    found = await read(_expired)
    if found:
        ids, channels = zip(*found, strict=True)
        await writer.submit(ReportExpiries(ids, tuple(set(channels))))
    return len(found)


def _expired() -> list[tuple[int, str]]:
    """The rows and channels of those that expired first."""
    rows = StorageEntry.objects.filter(reports_expiry=True, expires_at__lte=Now())
    return list(rows.order_by("expires_at").values_list("id", "channel__name")[:AT_ONCE])

"""What other processes commit: noticed here, and caught up with by who listens in this one (P3).

On SQLite by its count of commits, which costs 3 µs to ask for; on PostgreSQL by asking every
so often where the channels stand that anybody here listens to (design.md section 4).
"""

import asyncio
import contextlib
import logging
from typing import Final

from django.db import connection

from chat.fanout.hub import BrokerStatus, Hub
from chat.models import Channel
from chat.protocol.errors import ProtocolError
from chat.store.reads import read

log = logging.getLogger("chat.hub")

CHECK_SECONDS: Final = 2.0
LINKED_CHECK_SECONDS: Final = 25.0  # what the broker loses at the tail of a channel is found then
RETRY_SECONDS: Final = 1.0
MAX_NAMES: Final = 10_000  # in one query; databases take some 32 thousand parameters


class HeadCheck:
    """Lives on the event loop; `watch` runs as long as its process serves."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._noticed = asyncio.Event()

    def notice(self) -> None:
        """Somebody else has committed something."""
        self._noticed.set()

    async def watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._noticed.wait(), self._pause())
            self._noticed.clear()
            await self._check()

    def _pause(self) -> float | None:
        status = self._hub.broker.status
        if status is BrokerStatus.CONNECTED:
            return LINKED_CHECK_SECONDS
        single = status is BrokerStatus.SINGLE_PROCESS
        return None if single and connection.vendor == "sqlite" else CHECK_SECONDS

    async def _check(self) -> None:
        channels = self._hub.channels()
        try:
            for start in range(0, len(channels), MAX_NAMES):
                self._hub.check(await read(heads, channels[start : start + MAX_NAMES]))
        except ProtocolError as error:
            log.warning("What others committed cannot be read yet: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)
            self._noticed.set()


def heads(channels: list[str]) -> list[tuple[str, int]]:
    """The channels that hold something durable, each with its number."""
    return list(Channel.objects.filter(name__in=channels).values_list("name", "number"))

"""Removes connections that have ended, however they ended: those whose rows could not be removed at
once, and those of processes that are gone (promise P5).

Members are notified as if each client had left, a few at a time.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

from chat.cluster.leases import (
    Ended,
    Lease,
    ListConnections,
    TakeOver,
    end_blockers,
    others_expired,
)
from chat.fanout.member_throttle import MemberThrottle
from chat.protocol.errors import ProtocolError
from chat.store.operations.connections import CloseConnection
from chat.store.reads import read
from chat.store.writer import Writer
from tokens.names import is_presence

log = logging.getLogger("chat.reaper")

REAP_SECONDS: Final = 1.0
AT_ONCE: Final = 500


@dataclass(slots=True, eq=False)
class Reaper:
    lease: Lease
    writer: Writer
    member_throttle: MemberThrottle
    backlog: Ended = field(default_factory=dict, init=False)

    async def reap(self) -> float:
        """Returns the seconds until it is to be called again; raises SERVICE_UNAVAILABLE."""
        await self.end_blockers()
        await self.take_over()
        await self.close_backlog()
        return REAP_SECONDS

    # --- connections ------------------------------------------------------------------------

    async def close(self, id: str, channels: tuple[str, ...] = ()) -> None:
        """Removes a connection; where the database is away, as soon as it is back."""
        try:
            async with self.member_throttle.passing(filter(is_presence, channels)):
                await self.writer.submit(CloseConnection(id, channels))
        except ProtocolError:
            self.backlog[id] = channels

    async def close_backlog(self) -> None:
        """What cannot be removed yet stays; its secret would work until then, were it not looked
        up here, too (`chat.http.credentials`)."""
        ended, self.backlog = list(self.backlog.items()), {}
        for at in range(0, len(ended), AT_ONCE):
            part = ended[at : at + AT_ONCE]
            await asyncio.gather(*(self.close(id, channels) for id, channels in part))

    async def close_all(self) -> None:
        """Those of this process whose end is announced, at once: it has no subscribers any more.

        Raises SERVICE_UNAVAILABLE.
        """
        ended = await self.writer.submit(ListConnections(self.lease.node_id))
        closing = (CloseConnection(id, channels) for id, channels in ended.items())
        await asyncio.gather(*map(self.writer.submit, closing))

    # --- processes --------------------------------------------------------------------------

    async def end_blockers(self) -> None:
        """Ends the sessions of a process that was stopped while it holds locks: until it goes on,
        nobody could write to these channels, nor announce that its members are gone."""
        if connection.vendor != "postgresql":
            return
        if ended := await read(end_blockers, self.lease.seconds / 2):
            log.error("%d sessions were ended that held locks and did nothing", ended)

    async def take_over(self) -> None:
        """From processes whose lease has run out; exactly one of the others gets each."""
        if self.lease.judges and await read(others_expired, self.lease.node_id):
            ended = await self.writer.submit(TakeOver(self.lease.node_id))
            self.backlog.update(ended)

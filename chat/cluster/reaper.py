"""Removes what has ended, however it ended: connections whose rows could not be removed at once,
and those of processes that are no more (promise P5).

Each as if its client had left: members are told, a few at a time.
"""

import asyncio
import logging
from typing import Final

from django.db import connection

from chat.cluster.leases import TakeOver
from chat.cluster.peers import all_of, end_blockers, members_of, seconds_left
from chat.fanout.member_throttle import MemberThrottle
from chat.protocol.errors import ProtocolError
from chat.store.listeners import listening
from chat.store.operations import CloseConnection
from chat.store.reads import read
from chat.store.writer import Writer
from tokens.names import is_presence

log = logging.getLogger("chat.reaper")

REAP_SECONDS: Final = 1.0
AT_ONCE: Final = 500

Ended = dict[str, tuple[str, ...]]
"""Connections that have ended, but whose rows are there: id -> channels where somebody is told."""


class Reaper:
    """`renewed_at` is when this process's lease was last renewed, by the loop's clock.

    After the database was away every lease has run out: nobody takes others for dead until one
    full lease after its own first renewal (design.md section 4, "Nodes").
    """

    def __init__(
        self, node_id: str, lease_seconds: float, writer: Writer, member_throttle: MemberThrottle
    ) -> None:
        self.left_over: Ended = {}
        self._node_id = node_id
        self._lease_seconds = lease_seconds
        self._writer = writer
        self._member_throttle = member_throttle
        self._loop = asyncio.get_running_loop()
        self._renewed_at: float | None = None
        self._judges_at = float("inf")
        self._look_at = 0.0

    # --- its own lease ----------------------------------------------------------------------

    def renewed(self) -> None:
        now, last = self._loop.time(), self._renewed_at
        if last is None or now - last > self._lease_seconds:
            self._judges_at = now + self._lease_seconds
        self._renewed_at = now

    def not_renewed(self) -> None:
        self._renewed_at = None
        self._judges_at = float("inf")

    # --- connections ------------------------------------------------------------------------

    async def close(self, id: str, channels: tuple[str, ...] = ()) -> None:
        """Removes a connection; where the database is away, as soon as it is back."""
        try:
            async with self._member_throttle.passing(filter(is_presence, channels)):
                await self._writer.submit(CloseConnection(id, channels))
        except ProtocolError:
            self.left_over[id] = channels

    async def close_left_over(self) -> None:
        """What cannot be removed yet stays; its secret would work until then, were it not looked
        up here, too (`chat.http.credentials`)."""
        ended, self.left_over = list(self.left_over.items()), {}
        for at in range(0, len(ended), AT_ONCE):
            part = ended[at : at + AT_ONCE]
            await asyncio.gather(*(self.close(id, channels) for id, channels in part))

    async def close_members(self) -> None:
        """All of this process that are in presence channels and, where the application's backend is
        told, all others, at once: nobody here listens any more.

        Raises SERVICE_UNAVAILABLE.
        """
        told = await read(all_of if listening() else members_of, self._node_id)
        closing = (CloseConnection(id, channels) for id, channels in told.items())
        await asyncio.gather(*map(self._writer.submit, closing))

    # --- processes --------------------------------------------------------------------------

    async def end_blockers(self) -> None:
        """Of whoever was stopped while it holds locks: nobody could write to these channels, nor
        tell that its members are gone, before it goes on."""
        if connection.vendor != "postgresql":
            return
        if ended := await read(end_blockers, self._lease_seconds / 2):
            log.error("%d sessions were ended that held locks and did nothing", ended)

    async def take_over(self) -> None:
        """From processes whose lease has run out; exactly one of the others gets each.

        Looks when the first of their leases would run out, were it not renewed; and twice in a
        lease, since others come.
        """
        now = self._loop.time()
        if not self._judges() or now < self._look_at:
            return
        left = await read(seconds_left, self._node_id)
        if left is not None and left <= 0:
            self.left_over.update(await self._writer.submit(TakeOver(self._node_id)))
        else:
            pause = self._lease_seconds / 2
            self._look_at = now + (pause if left is None else min(left, pause))

    def _judges(self) -> bool:
        """Whether this process may take others for dead: it was not away itself."""
        now = self._loop.time()
        alive = self._renewed_at is not None and now - self._renewed_at < self._lease_seconds
        return alive and now >= self._judges_at

    async def reap_for_ever(self) -> None:
        while True:
            try:
                await self.end_blockers()
                await self.take_over()
                await self.close_left_over()
            except ProtocolError as error:
                log.warning("It is not known which processes have ended: %s", error.message)
            await asyncio.sleep(REAP_SECONDS)

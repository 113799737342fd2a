"""A connection's metadata changes, whichever process is asked for it (protocol.md section 11).

The process that holds the connection keeps it in step with what the connection subscribes to and
publishes meanwhile. Another one writes the change, marks the connection's row and notifies the
holder, which reads it again; at the latest it does so within half a second.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

from chat.fanout.broker import Broker, BrokerStatus
from chat.fanout.member_throttle import MemberThrottle
from chat.models import Connection, Subscription
from chat.protocol.errors import ProtocolError
from chat.protocol.session import Session
from chat.runtime.connection import Connections, LiveConnection
from chat.store.operations.connections import ReadAgain, UpdateUmd
from chat.store.reads import read
from chat.store.writer import Writer
from tokens.names import is_presence

log = logging.getLogger("chat.metadata")

READ_AGAIN: Final = "read again"  # the notification, as it is on the wire
POLL_SECONDS: Final = 0.01
READ_POLLS: Final = 200


@dataclass(slots=True, eq=False)
class Metadata:
    """A process's part; `outlast` runs what must end before the process does."""

    connections: Connections
    broker: Broker
    writer: Writer
    member_throttle: MemberThrottle
    outlast: Callable[[Coroutine[None, None, None]], object]

    async def change(self, session: Session, operation: UpdateUmd) -> None:
        """That of a connection of this process, whose `changing` the caller holds; raises as the
        operation, or RATE_LIMITED, and nothing has changed then."""
        await self._submit(session, operation)
        session.take_on(operation.umd, operation.channels, own=operation.own)

    async def change_elsewhere(
        self, session: Session, operation: UpdateUmd, *, propagate: bool
    ) -> None:
        """That of a connection of another process, as the database knows it; raises as `change`.
        With `propagate` all its subscriptions get it.

        Returns when that process has read it, or has not after READ_POLLS.
        """
        await self._change_marked(session, operation)
        if not propagate:
            return
        try:  # to subscriptions that began before that process had read it
            id = operation.connection_id
            rows = Subscription.objects.filter(connection_id=id)
            subscribed = await read(set, rows.values_list("channel__name", flat=True))
            later = subscribed.difference(operation.channels)
            if later:
                update = UpdateUmd(id, operation.umd, tuple(later), own=False)
                await self._change_marked(session, update)
        except ProtocolError as error:
            log.warning("Subscriptions that began meanwhile keep their metadata: %s", error.in_full)

    async def _change_marked(self, session: Session, operation: UpdateUmd) -> None:
        operation.stale = True
        await self._submit(session, operation)
        self.broker.notify(READ_AGAIN, operation.connection_id)
        stale = Connection.objects.filter(id=operation.connection_id, stale=True)
        with contextlib.suppress(ProtocolError):
            for _ in range(READ_POLLS):
                connected = self.broker.status is BrokerStatus.CONNECTED
                if not connected or not await read(stale.exists):
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def _submit(self, session: Session, operation: UpdateUmd) -> None:
        presence = filter(is_presence, operation.channels)
        members = {name: session.sender(name).uid or "" for name in presence}
        async with self.member_throttle.changing(operation, members):
            await self.writer.submit(operation)

    def read_again(self, connection_id: str) -> None:
        """Another process has changed that of a connection, which may be one of this process."""
        connection = self.connections.get(connection_id)
        if connection is not None:
            self.outlast(self._read_again(connection))

    async def _read_again(self, connection: LiveConnection) -> None:
        session = connection.session
        try:
            async with connection.changing:
                own, subscribed = await self.writer.submit(ReadAgain(connection.id))
                session.take_on(own, (), own=True)
                for channel, umd in subscribed:
                    session.take_on(umd, (channel,), own=False)
        except ProtocolError as error:  # its mark stays
            log.warning("Changed metadata cannot be read yet: %s", error.in_full)

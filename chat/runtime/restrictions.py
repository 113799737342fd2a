"""The restrictions in force, as this process holds them, and what they do to its connections
(protocol.md section 19): they are read when they change, and asked whenever somebody is let in.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from chat.protocol.errors import CloseCode
from chat.protocol.restrictions import Rules
from chat.protocol.session import NO_ROUTES, Session
from chat.runtime.connection import Connections, LiveConnection
from chat.store.operations.audit import erased_name
from chat.store.operations.restrictions import MAX_READ, ReadRules
from chat.store.writer import Writer
from tokens.claims import Claims

AT_ONCE: Final = 1_000  # subscriptions that are looked at without a rest


class Restrictions:
    """This process's; `clock` is the event loop's."""

    def __init__(
        self, connections: Connections, writer: Writer, clock: Callable[[], float]
    ) -> None:
        self.rules = Rules(erased_name)
        self._connections = connections
        self._writer = writer
        self._clock = clock
        self._ahead = 0.0  # the database's clock, in unix seconds, of the event loop's
        self._reading = asyncio.Lock()
        self._ending: set[LiveConnection] = set()  # with a subscription that is to end

    # --- reading ----------------------------------------------------------------------------

    async def load(self) -> None:
        """Reads all that are in force. Raises SERVICE_UNAVAILABLE."""
        found, now = await self._writer.submit(ReadRules(None))
        self._ahead, rules = now - self._clock(), Rules(erased_name)
        for rule in found:
            rules.put(rule, now)
        self.rules = rules
        await self._enforce(rules)

    async def follow(self, number: int) -> None:
        """Reads what has changed up to the change `number`, the last one in the database, and
        enforces it. Raises SERVICE_UNAVAILABLE."""
        async with self._reading:
            if number < self.rules.number:  # the database was restored, or what had ended purged
                await self.load()
            while self.rules.number < number:
                found, now = await self._writer.submit(ReadRules(self.rules.number))
                self._ahead, new = now - self._clock(), Rules(erased_name)
                for rule in found:
                    self.rules.put(rule, now)
                    new.put(rule, now)
                await self._enforce(new)
                if len(found) < MAX_READ:
                    break
            ending, self._ending = self._ending, set()
            for connection in ending:  # the database was away, or it is still at it
                if self._connections.get(connection.id) is connection:
                    self.check(connection)

    async def _enforce(self, rules: Rules) -> None:
        """On all connections. Who is let in meanwhile is checked by itself."""
        if not rules:
            return
        seen = 0
        for connection in self._connections.all():
            self._check(connection, rules)
            seen += 1 + len(connection.session.subscriptions)
            if seen >= AT_ONCE:
                seen = 0
                await asyncio.sleep(0)

    # --- asking -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """By the database's clock, about, in unix seconds."""
        return self._clock() + self._ahead

    def is_banned(self, uid: str | None, channel: str) -> bool:
        """Whether this uid is banned from a channel, or from all."""
        return self.rules.ban(uid, channel, self.now)

    def is_banned_address(self, address: str) -> bool:
        return self.rules.ban_address(address, self.now)

    def excludes(self, session: Session, address: str) -> bool:
        """Whether its connection is to be closed."""
        return self._excludes(session, address, self.rules)

    def check(self, connection: LiveConnection) -> None:
        """Closes a connection, or ends what it subscribes to, where a restriction is against it."""
        self._check(connection, self.rules)

    def _check(self, connection: LiveConnection, rules: Rules) -> None:
        if not rules:
            return
        session, now = connection.session, self.now
        if self._excludes(session, connection.address, rules):
            connection.send_queue.close(CloseCode.REVOKED)
            return
        for events in session.routes.values():
            if any(rules.ban(each.sender.uid, each.channel, now) for each in events.values()):
                session.routes = NO_ROUTES
                break
        for subscription in session.subscriptions.values():
            if rules.ban(subscription.uid, subscription.channel, now):
                self._ending.add(connection)
                if connection.end_subscription is not None:
                    connection.end_subscription(subscription)

    def _excludes(self, session: Session, address: str, rules: Rules) -> bool:
        now = self.now
        return (
            rules.ban(session.uid, "", now)
            or rules.ban_address(address, now)
            or any(rules.revoke(token, now) for token in tokens_of(session))
        )


def tokens_of(session: Session) -> Iterator[Claims]:
    """The one that it connected with, and those that it subscribed with."""
    yield session.claims
    for subscription in session.subscriptions.values():
        if subscription.claims is not None:
            yield subscription.claims

"""The order of what a connection publishes through several processes (promise P4): the one that
answers its HTTP call first tells the one that holds it, which keeps what comes next behind it.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Final

from chat.fanout.broker import Broker, BrokerStatus
from chat.runtime.connection import Connections

# The notifications, as they are on the wire.
FOLLOW: Final = "follow"
FOLLOWS: Final = "follows"
# How long to wait for the answer: who holds it may have just gone, or be of a release before. Where
# none can be heard, the other one has polled four times by then.
FOLLOW_SECONDS: Final = {BrokerStatus.CONNECTED: 0.5, BrokerStatus.POLLING: 1.0}


@dataclass(slots=True, eq=False)
class Order:
    """A process's part."""

    connections: Connections
    broker: Broker
    _asked: dict[str, asyncio.Event] = field(default_factory=dict)

    async def behind(self, connection_id: str, channel: str, number: int) -> None:
        """Returns once the process that holds the connection has what this one announced before,
        and keeps the connection's ephemeral messages behind the change `number`; or has not, after
        FOLLOW_SECONDS. At once where it is this process, or the others hear nothing of this one."""
        seconds = FOLLOW_SECONDS.get(self.broker.status)
        if seconds is None or self.connections.get(connection_id) is not None:
            return
        call = token_urlsafe(8)
        follows = self._asked[call] = asyncio.Event()
        self.broker.notify(FOLLOW, call, connection_id, channel, number)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(follows.wait(), seconds)
        finally:
            del self._asked[call]

    def follow(self, call: str, connection_id: str, channel: str, number: int) -> None:
        """Another process asks for it, of a connection that may be one of this process."""
        connection = self.connections.get(connection_id)
        if connection is not None:
            connection.session.follow(channel, number)
            self.broker.notify(FOLLOWS, call)

    def follows(self, call: str) -> None:
        if call in self._asked:
            self._asked[call].set()

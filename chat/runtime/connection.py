"""An open connection of this process: what it may do, where its frames go, where it listens."""

import asyncio
from dataclasses import dataclass, field

from chat.fanout.feed import Subscriber
from chat.fanout.send_queue import SendQueue
from chat.protocol.session import Session, Subscription
from tokens.names import is_presence


@dataclass(slots=True, eq=False)
class LiveConnection:
    session: Session
    send_queue: SendQueue
    address: str
    ends_at: float  # this and the other times: by the event loop's clock, in seconds
    heard_at: float  # when its last frame came
    beat_at: float  # when its last heartbeat came
    handling: bool = False  # whether a frame is being handled: those behind it wait
    secret_hash: str = ""  # of its secret, once it has called the HTTP API with it here
    joining: tuple[str, ...] = ()  # presence channels of which it is not known whether it is in
    # Held while a subscription begins or metadata changes: over HTTP both go on at the same time.
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def id(self) -> str:
        return self.session.connection_id

    def presence(self) -> tuple[str, ...]:
        """The presence channels in which it may be."""
        return tuple({*filter(is_presence, self.session.subscriptions), *self.joining})

    def channels(self) -> tuple[str, ...]:
        """All in which it may be."""
        return tuple({*self.session.subscriptions, *self.joining})

    def subscriber(self, subscription: Subscription) -> Subscriber:
        return Subscriber(self.id, self.send_queue, subscription.observes)

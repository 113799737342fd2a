"""An open connection of this process: what it may do, where its frames go, where it listens."""

from dataclasses import dataclass

from chat.protocol.session import Session

from .feed import Subscriber
from .outbox import Outbox


@dataclass(slots=True, eq=False)
class LiveConnection:
    session: Session
    outbox: Outbox
    address: str
    ends_at: float  # by the process's steady clock, in seconds

    @property
    def id(self) -> str:
        return self.session.connection_id

    def subscriber(self) -> Subscriber:
        return Subscriber(self.id, self.outbox)

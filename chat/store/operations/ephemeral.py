"""A message that is not stored, where something about it is: that it was published, once."""

from collections.abc import Sequence
from dataclasses import dataclass

from chat.fanout.announcements import Announcement, Ephemeral
from chat.protocol import events, ids
from chat.protocol.publication import Source
from chat.store import reports
from chat.store.operations.base import Operation
from chat.store.transaction import Transaction


@dataclass(slots=True)
class PassOn(Operation):
    """Gives the id of a message of the server's own, which is announced and not stored; `source`
    None: no backend event is wanted."""

    channel: str
    event: str
    data: bytes
    source: Source | None = None
    item: Ephemeral | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Sequence[Announcement]:
        return () if self.item is None else (self.item,)

    def apply(self, transaction: Transaction) -> str:
        id = self.made(transaction.ms)
        if self.source is not None:
            transaction.report(
                reports.message_published,
                *(self.channel, self.event, id, self.data, None, self.source),
            )
        return id

    def made(self, ms: int) -> str:
        """The id, at so many milliseconds since 1970; from now on it can be announced."""
        id = ids.new_id(ms)
        event = events.message(id, self.event, self.channel, self.data, None)
        self.item = Ephemeral(self.channel, 0, [event.frame])
        return id

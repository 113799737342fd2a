"""What every write is: it names the channels it locks and applies itself to a batch.

Runs in the writer's thread. A refusal found here (a message gone, a token used before) is raised
as ProtocolError before anything is gathered: it is that operation's result, and its batch goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from chat.fanout.announcements import Announcement, Change
from chat.store.transaction import Transaction

FOR_EVER: Final = -1


@dataclass(slots=True)
class Operation:
    """One write; what `apply` returns is the caller's once the batch is committed."""

    def locks(self) -> tuple[str, ...]:
        """The names of the channels whose rows must be locked, and made where missing."""
        return ()

    @property
    def announced(self) -> Sequence[Announcement]:
        """What subscribers are told once it is committed, in this order."""
        return ()

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Reads what `apply` needs to know, for all operations of this kind at once."""

    def apply(self, transaction: Transaction) -> Any:
        raise NotImplementedError


@dataclass(slots=True)
class ChannelOperation(Operation):
    """A write to one channel, whose `change`, where it makes one, is announced."""

    channel: str
    change: Change | None = field(default=None, kw_only=True)

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Sequence[Announcement]:
        return () if self.change is None else (self.change,)

"""What every write is: it names the channels it locks and applies itself to a batch.

Runs in the writer's thread. A refusal found here (a message gone, a token used before) is raised
as ProtocolError before anything is added: it is that operation's outcome, and its batch goes on.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chat.fanout.announcements import Announcement, Change
from chat.store.transaction import Transaction


@dataclass(slots=True)
class Operation[Result]:
    """One write. `apply` gives its result, which the caller gets once the batch is committed;
    `announced` is what subscribers get then, in this order."""

    announced: Sequence[Announcement] = field(default=(), init=False, repr=False, compare=False)

    def locks(self) -> tuple[str, ...]:
        """The names of the channels whose rows must be locked, and created where missing."""
        return ()

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Any]) -> None:
        """Reads what `apply` needs to know, for all `operations`, which are of this class."""

    def apply(self, transaction: Transaction) -> Result:
        """Adds its rows, and sets `announced` where it changes what subscribers see."""
        raise NotImplementedError

    def perform(self, transaction: Transaction) -> Result:
        """Applies it, maybe again: a batch that fails is retried."""
        self.announced = ()
        return self.apply(transaction)


@dataclass(slots=True)
class ChannelOperation[Result](Operation[Result]):
    """A write to one channel, which changes it once at most."""

    channel: str

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def change(self) -> Change | None:
        """What it has changed, None where that is nothing."""
        change = self.announced[0] if self.announced else None
        return change if isinstance(change, Change) else None


def load_all(transaction: Transaction, operations: Iterable[Operation[object]]) -> None:
    """Each kind reads what its operations need: always in the same order of kinds, so that no two
    processes wait for each other."""
    kinds: dict[type[Operation[object]], list[Operation[object]]] = defaultdict(list)
    for operation in operations:
        kinds[type(operation)].append(operation)
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        kind.load(transaction, kinds[kind])

"""What is to be done later (protocol.md section 13). A row holds an operation; it is deleted and
done in one transaction: once, however many processes try.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from chat.store.operations.work import decode
from chat.store.transaction import ChannelOperation, Operation, Transaction, load_all, marks

TAKE: Final = "DELETE FROM chat_schedule WHERE id IN ({}) RETURNING id, work"


@dataclass(slots=True)
class RunSchedule(ChannelOperation[None]):
    """Does what was scheduled, unless another process has or it was cancelled."""

    id: str
    work: Operation[Any] | None = None

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        rows: list[tuple[str, str]] = transaction.select(
            TAKE.format(marks(operations)), [run.id for run in operations]
        )
        found = {id: decode(work) for id, work in rows}
        load_all(transaction, found.values())
        for run in operations:
            run.work = found.pop(run.id, None)

    def apply(self, transaction: Transaction) -> None:
        if self.work is not None:
            self.work.perform(transaction)
            self.announced = self.work.announced

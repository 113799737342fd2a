"""Scheduled work at its time (protocol.md section 13). A row holds an operation; it is deleted and
done in one transaction: once, however many processes try. One that cannot be done is parked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from chat.store.transaction import Operation, Transaction, load_all, marks

MAX_PROBLEM_CHARACTERS: Final = 1000
TAKE: Final = "DELETE FROM chat_schedule WHERE id IN ({}) AND parked_at IS NULL RETURNING id"
PARK: Final = (
    "UPDATE chat_schedule SET parked_at = ?, problem = ? WHERE id = ? AND parked_at IS NULL"
    " RETURNING id"
)


@dataclass(slots=True)
class RunSchedule(Operation[None]):
    """Does the `work` of a schedule, unless another process has or it was cancelled."""

    id: str
    work: Operation[Any]
    taken: bool = False

    def locks(self) -> tuple[str, ...]:
        return self.work.locks()

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        rows: list[tuple[str]] = transaction.select(
            TAKE.format(marks(operations)), [run.id for run in operations]
        )
        there = {id for (id,) in rows}
        for run in operations:
            run.taken = run.id in there
            there.discard(run.id)
        load_all(transaction, (run.work for run in operations if run.taken))

    def apply(self, transaction: Transaction) -> None:
        if self.taken:
            self.work.perform(transaction)
            self.announced = self.work.announced


@dataclass(slots=True)
class ParkSchedule(Operation[bool]):
    """Leaves a schedule undone, with what is wrong with it, until somebody tries it again. Gives
    whether it waited until now."""

    id: str
    problem: str

    def apply(self, transaction: Transaction) -> bool:
        problem = self.problem.encode("unicode_escape").decode()  # PostgreSQL stores no NUL
        values = transaction.after(0), problem[:MAX_PROBLEM_CHARACTERS], self.id
        return bool(transaction.select(PARK, values))

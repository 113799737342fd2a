"""What is to be done later (protocol.md section 13). A row holds an operation; it is deleted and
done in one transaction: once, however many processes try.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final, Self

import msgspec

from chat.protocol import ids, schedule
from chat.protocol.publication import Source
from chat.store.operations.messages import PublishMessage
from chat.store.operations.storage import SetStorage
from chat.store.transaction import ChannelOperation, Operation, Transaction, load_all, marks

Work = PublishMessage | SetStorage
KINDS: Final[dict[str, type[Work]]] = {"message": PublishMessage, "storage": SetStorage}
NAMES: Final = {kind: name for name, kind in KINDS.items()}
FIELDS: Final = {kind: [each.name for each in fields(kind) if each.init] for kind in NAMES}
RAW: Final = ("data", "meta")  # bytes in an operation, text in its row
TAKE: Final = "DELETE FROM chat_schedule WHERE id IN ({}) RETURNING id, work"


@dataclass(slots=True)
class AddSchedule(Operation[str]):
    """Schedules `work` for the moment `at`, and gives the schedule's id. Raises
    INVALID_SCHEDULE_EXPRESSION where the moment has passed."""

    at: datetime
    work: Work

    def locks(self) -> tuple[str, ...]:
        return self.work.locks()

    @property
    def size(self) -> int:
        return self.work.size

    def apply(self, transaction: Transaction) -> str:
        if self.at < transaction.now:
            raise schedule.invalid("scheduleExpression names a time in the past.")
        id = ids.new_id(transaction.ms)
        channel = transaction.heads[self.work.channel].id
        rest = transaction.moment(self.at), encode(self.work), transaction.after(0)
        transaction.add("schedule", (id, channel, *rest))
        transaction.due = min(self.at, transaction.due or self.at)
        return id


@dataclass(slots=True)
class RunSchedule(ChannelOperation[None]):
    """Does what was scheduled, unless another process has or it was cancelled."""

    id: str
    work: Work | None = None

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


@dataclass(slots=True)
class CancelSchedule(Operation[bool]):
    """Gives whether there was such a schedule; it is gone now."""

    id: str

    def apply(self, transaction: Transaction) -> bool:
        return bool(transaction.select(TAKE.format("?"), [self.id]))


def encode(work: Work) -> str:
    """An operation as a schedule's row holds it."""
    stated = {name: getattr(work, name) for name in FIELDS[type(work)]}
    raw = {name: stated[name].decode() for name in RAW if stated[name] is not None}
    return msgspec.json.encode({"kind": NAMES[type(work)], **stated, **raw}).decode()


def decode(text: str) -> Work:
    row = msgspec.json.decode(text)
    kind = KINDS[row["kind"]]
    stated = {name: row[name] for name in FIELDS[kind] if name in row}
    raw = {name: row[name].encode() for name in RAW if row[name] is not None}
    source = msgspec.convert(row.get("source"), Source | None)
    return kind(**{**stated, **raw, "source": source})

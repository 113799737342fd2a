"""What is to be done at its time (protocol.md section 13).

The row holds an operation; whoever deletes it does that operation, in the same transaction: once,
however many processes try.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from chat.fanout.announcements import Announcement, Ephemeral
from chat.protocol import events, ids, schedule
from chat.store.operations.base import Operation
from chat.store.operations.messages import ReportMessage, StoreMessage
from chat.store.operations.storage import SetStorage
from chat.store.transaction import Transaction

Work = StoreMessage | SetStorage
KINDS: Final[dict[str, type[Work]]] = {"message": StoreMessage, "storage": SetStorage}
NAMES: Final = {kind: name for name, kind in KINDS.items()}
RAW: Final = ("data", "meta")  # bytes in an operation, text in its row


@dataclass(slots=True)
class AddSchedule(Operation):
    """Lets `work` be done `at` a moment, and gives the schedule's id; a message may have a `store`
    of 0 here. Raises INVALID_SCHEDULE_EXPRESSION where the moment has passed."""

    at: datetime
    work: Work

    def locks(self) -> tuple[str, ...]:
        return self.work.locks()

    def apply(self, transaction: Transaction) -> str:
        if self.at < transaction.now:
            raise schedule.invalid("scheduleExpression names a time in the past.")
        id = ids.new_id(transaction.ms)
        channel = transaction.heads[self.work.channel].id
        due_at, created_at = map(transaction.moment, (self.at, transaction.now))
        transaction.add("schedule", (id, channel, due_at, encode(self.work), created_at))
        transaction.due = min(self.at, transaction.due or self.at)
        return id


@dataclass(slots=True)
class RunSchedule(Operation):
    """Does what was scheduled, unless another process has or it was cancelled."""

    id: str
    channel: str
    done: Work | None = None
    passed_on: Ephemeral | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Sequence[Announcement]:
        if self.passed_on is not None:
            return (self.passed_on,)
        return () if self.done is None else self.done.announced

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        marks = ",".join("?" * len(operations))
        deleted = transaction.select(
            f"DELETE FROM chat_schedule WHERE id IN ({marks}) RETURNING id, work",  # noqa: S608
            [operation.id for operation in operations],
        )
        works = {id: decode(work) for id, work in deleted}
        for operation in operations:
            operation.done, operation.passed_on = works.pop(operation.id, None), None
        writes = [each.done for each in operations if isinstance(each.done, SetStorage)]
        if writes:
            SetStorage.load(transaction, writes)

    def apply(self, transaction: Transaction) -> None:
        if isinstance(self.done, StoreMessage) and not self.done.store:
            self.passed_on = _pass_on(self.done, transaction)
        elif self.done is not None:
            self.done.apply(transaction)


@dataclass(slots=True)
class CancelSchedule(Operation):
    """Says whether there was such a schedule; it is gone now."""

    id: str

    def apply(self, transaction: Transaction) -> bool:
        return bool(
            transaction.select("DELETE FROM chat_schedule WHERE id = ? RETURNING id", [self.id])
        )


def _pass_on(message: StoreMessage, transaction: Transaction) -> Ephemeral:
    """A message that is not stored, behind all that its channel has seen."""
    id = ids.new_id(transaction.ms)
    what = message.channel, message.event, id, message.data, message.meta
    if message.source is not None:
        ReportMessage(*what, message.source).apply(transaction)
    event = events.message(id, message.event, message.channel, message.data, message.meta)
    previous = transaction.heads[message.channel].number
    return Ephemeral(message.channel, previous, [event.frame], message.origin, message.echo)


def encode(work: Work) -> str:
    """An operation as a schedule's row holds it."""
    fields: dict[str, Any] = msgspec.to_builtins(work, builtin_types=(bytes,))
    raw = {name: fields[name].decode() for name in RAW if fields[name] is not None}
    return msgspec.json.encode({"kind": NAMES[type(work)], **fields, **raw}).decode()


def decode(text: str) -> Work:
    fields = msgspec.json.decode(text)
    raw = {name: fields[name].encode() for name in RAW if fields[name] is not None}
    return msgspec.convert({**fields, **raw}, KINDS[fields["kind"]])

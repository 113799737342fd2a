"""What a client asks for with an `ack`, done once for each of a sender's (protocol.md section 19):
of two at once, in whatever processes, one does it, since the channel's row is locked. What was done
is remembered in the transaction that does it: whatever happens to its answer, a repeat gets it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from msgspec import structs

from chat.fanout.announcements import Change
from chat.protocol.errors import ProtocolError
from chat.protocol.frames import malformed
from chat.protocol.publication import Acknowledged
from chat.store.operations.work import AddSchedule
from chat.store.transaction import ChannelOperation, Operation, Transaction, load_all

REMEMBERED_SECONDS: Final = 600
KNOWN: Final = (
    "SELECT channel_id, sender, ack, digest, result, position FROM chat_acknowledgement"
    " WHERE (channel_id, sender, ack) IN (VALUES {}) AND expires_at > ?"
)
USED: Final = "ack names another operation of yours on this channel; each needs a new one."


@dataclass(slots=True)
class DoOnce(Operation[Acknowledged]):
    """Does `what` and gives `receipt` with its result. A repeat on the channel with the ack of this
    `sender` does nothing and gets what the first did; raises INVALID_MESSAGE where the `digest` of
    what was sent is another. What is refused is not remembered."""

    what: Operation[str] | Operation[None]
    receipt: Acknowledged
    digest: str
    sender: str
    connection_id: str

    def locks(self) -> tuple[str, ...]:
        return self.what.locks()

    @property
    def size(self) -> int:
        return self.what.size

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_all(transaction, (operation.what for operation in operations))
        places = {operation._place(transaction) for operation in operations}
        values = ",".join(["(?, ?, ?)"] * len(places))
        parts = [part for place in places for part in place]
        rows: list[tuple[int, str, str, str, str, int | None]] = transaction.select(
            KNOWN.format(values), [*parts, transaction.after(0)]
        )
        transaction.acknowledged.update((row[:3], row[3:]) for row in rows)

    def _place(self, transaction: Transaction) -> tuple[int, str, str]:
        return transaction.heads[self.receipt.channel].id, self.sender, self.receipt.ack

    def apply(self, transaction: Transaction) -> Acknowledged:
        place = self._place(transaction)
        known = transaction.acknowledged.get(place)
        if known is None:
            result = self.what.perform(transaction) or ""
            self.announced = self.what.announced
            numbers = [each.number for each in self.announced if isinstance(each, Change)]
            done = self.digest, result, numbers[0] if numbers else None
            transaction.acknowledged[place] = done
            until = transaction.after(REMEMBERED_SECONDS)
            transaction.add("acknowledgement", (*place, *done, until))
            return self._receipt(*done[1:])
        if known[0] != self.digest:
            raise malformed(USED)
        return self._receipt(*known[1:], repeated=True)

    def _receipt(
        self, result: str, position: int | None, *, repeated: bool = False
    ) -> Acknowledged:
        gives = "schedule_arn" if isinstance(self.what, AddSchedule) else "id"
        done = {gives: result or None, "position": position, "repeated": repeated}
        return structs.replace(self.receipt, **done)


@dataclass(slots=True)
class Refuse(ChannelOperation[None]):
    """For DoOnce: what cannot be done any more, though it may have been done before."""

    refusal: ProtocolError

    def apply(self, transaction: Transaction) -> None:
        raise self.refusal


def sender_of(uid: str | None, connection_id: str) -> str:
    """Whose acks are told from those of all others: a person's or, without a uid, a
    connection's."""
    return f"uid {uid}" if uid else f"connection {connection_id}"

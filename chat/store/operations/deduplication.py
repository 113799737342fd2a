"""What the server publishes, once for each deduplicationId (protocol.md section 15): of two at
once, one publishes and both get the same answer, since the channel's row is locked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from msgspec import json, structs

from chat.protocol.publication import Receipt
from chat.store.transaction import Operation, Transaction, load_all, marks

REMEMBERED_SECONDS: Final = 300
ANSWERS: Final = (
    "SELECT channel_id, key, answer FROM chat_deduplication"
    " WHERE channel_id IN ({}) AND key IN ({}) AND expires_at > ?"
)

_receipt_decoder = json.Decoder(Receipt)


@dataclass(slots=True)
class PublishOnce(Operation[Receipt]):
    """Does `what` and gives `receipt`, with the result of `what` in its field `gives`. With a
    `key`, a repeat on its channel does nothing and gives the receipt of the first."""

    what: Operation[object]
    receipt: Receipt
    gives: str | None = None
    key: str = ""

    def locks(self) -> tuple[str, ...]:
        return self.what.locks()

    @property
    def size(self) -> int:
        return self.what.size

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_all(transaction, (operation.what for operation in operations))
        keys = sorted({operation.key for operation in operations if operation.key})
        if not keys:
            return
        names = {operation.receipt.channel for operation in operations if operation.key}
        channels = sorted(transaction.heads[name].id for name in names)
        rows: list[tuple[int, str, str]] = transaction.select(
            ANSWERS.format(marks(channels), marks(keys)),
            [*channels, *keys, transaction.moment(transaction.now)],
        )
        transaction.answers.update(((channel, key), answer) for channel, key, answer in rows)

    def apply(self, transaction: Transaction) -> Receipt:
        place = (transaction.heads[self.receipt.channel].id, self.key)
        answer = transaction.answers.get(place)
        if answer is not None:
            return _receipt_decoder.decode(answer)
        receipt = self.receipt_for(self.what.perform(transaction))
        self.announced = self.what.announced
        if self.key:
            answer = transaction.answers[place] = json.encode(receipt).decode()
            until = transaction.after(REMEMBERED_SECONDS)
            transaction.add("deduplication", (*place, answer, until))
        return receipt

    def receipt_for(self, result: object) -> Receipt:
        """The receipt, with the result of `what`."""
        if self.gives is None:
            return self.receipt
        return structs.replace(self.receipt, **{self.gives: result})

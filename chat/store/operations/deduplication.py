"""What the server publishes, once for each deduplicationId (protocol.md section 15).

The channel's row is locked while it is decided: of two at once, one publishes and both are
answered the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from msgspec import json, structs

from chat.fanout.announcements import Announcement
from chat.protocol.publication import Receipt
from chat.store.operations.base import Operation
from chat.store.transaction import Transaction

REMEMBERED_SECONDS: Final = 300

_receipt_decoder = json.Decoder(Receipt)


@dataclass(slots=True)
class PublishOnce(Operation):
    """Does `what` and gives `receipt` with what that gave in its field `gives`.

    With a `key`, a repeat on its channel does nothing and gives the receipt of the first.
    """

    what: Operation
    receipt: Receipt
    gives: str | None = None
    key: str = ""
    repeated: bool = False

    def locks(self) -> tuple[str, ...]:
        return self.what.locks()

    @property
    def announced(self) -> Sequence[Announcement]:
        return () if self.repeated else self.what.announced

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        alike = defaultdict(list)
        for operation in operations:
            alike[type(operation.what)].append(operation.what)
        for kind, whats in alike.items():
            kind.load(transaction, whats)
        if keyed := [operation for operation in operations if operation.key]:
            _load_answers(transaction, keyed)

    def apply(self, transaction: Transaction) -> Receipt:
        if not self.key:
            return self._first(transaction)
        place = (transaction.heads[self.receipt.channel].id, self.key)
        answer = transaction.answers.get(place)
        self.repeated = answer is not None
        if answer is not None:
            return _receipt_decoder.decode(answer)
        receipt = self._first(transaction)
        answer = transaction.answers[place] = json.encode(receipt).decode()
        until = transaction.after(REMEMBERED_SECONDS)
        transaction.add("deduplication", (*place, answer, until))
        return receipt

    def _first(self, transaction: Transaction) -> Receipt:
        return self.given(self.what.apply(transaction))

    def given(self, outcome: Any) -> Receipt:
        """The receipt for what `what` gave."""
        if self.gives is None:
            return self.receipt
        return structs.replace(self.receipt, **{self.gives: outcome})


def _load_answers(transaction: Transaction, operations: Sequence[PublishOnce]) -> None:
    keys = sorted({operation.key for operation in operations})
    channels = sorted({transaction.heads[each.receipt.channel].id for each in operations})
    rows = transaction.select(
        "SELECT channel_id, key, answer FROM chat_deduplication"  # noqa: S608
        f" WHERE channel_id IN ({','.join('?' * len(channels))})"
        f" AND key IN ({','.join('?' * len(keys))}) AND expires_at > ?",
        [*channels, *keys, transaction.moment(transaction.now)],
    )
    transaction.answers.update(((channel, key), answer) for channel, key, answer in rows)

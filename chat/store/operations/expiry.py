"""Storage entries that have expired, where whoever wrote them wanted that to be a backend event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chat.store import reports
from chat.store.operations.base import Operation
from chat.store.transaction import Transaction

TAKE: Final = (
    "UPDATE chat_storageentry SET reports_expiry = FALSE"
    " WHERE reports_expiry AND expires_at <= ? AND {} RETURNING channel_id, key, data, expires_at"
)


@dataclass(slots=True)
class ReportExpiries(Operation):
    """Reports these entries, by their rows' ids, unless that was done or they were written anew."""

    ids: Sequence[int]
    channels: tuple[str, ...]

    def locks(self) -> tuple[str, ...]:
        return self.channels

    def apply(self, transaction: Transaction) -> None:
        marks = ",".join("?" * len(self.ids))
        report_expired(transaction, f"id IN ({marks})", self.ids)


def report_expired(transaction: Transaction, which: str, values: Iterable[Any]) -> None:
    """Those that `which`, a condition with `values`, is true of; their channels must be locked."""
    if not transaction.reporting:
        return
    names = {head.id: name for name, head in transaction.heads.items()}
    expired = transaction.select(TAKE.format(which), [transaction.after(0), *values])
    for channel, key, data, expires in sorted(expired, key=lambda row: (row[3], row[:2])):
        transaction.report(
            reports.storage_updated,
            *(names[channel], key, b"null", data.encode(), b"null"),
            *(transaction.time(expires), None),
        )

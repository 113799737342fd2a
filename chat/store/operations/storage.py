"""Writing storage entries (protocol.md section 12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from chat.fanout.announcements import Change
from chat.protocol import events
from chat.protocol.jsontext import same_value
from chat.protocol.publication import Source
from chat.store import reports
from chat.store.operations.base import FOR_EVER, ChannelOperation
from chat.store.operations.expiry import report_expired
from chat.store.transaction import Transaction

CLEARED: Final = ""  # what a cleared entry's row holds for its value


@dataclass(slots=True)
class SetStorage(ChannelOperation):
    """Sets an entry, or clears it where `data` is None; only a change of its value is announced.

    `store` in seconds, -1 for ever; `meta` None: by the server API; `source` None: no backend
    event is wanted, of its expiry neither.
    """

    key: str
    data: bytes | None
    uid: str | None
    umd: str
    meta: bytes | None
    store: int = FOR_EVER
    source: Source | None = None

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Reads the entries that are set; one that has expired counts as unset."""
        written = {(transaction.heads[it.channel].id, it.key) for it in operations}
        marks = ",".join(["(?, ?)"] * len(written))
        places = [part for pair in written for part in pair]
        report_expired(transaction, f"(channel_id, key) IN (VALUES {marks})", places)
        found = transaction.select(
            "SELECT channel_id, key, number, data FROM chat_storageentry"  # noqa: S608
            f" WHERE (channel_id, key) IN (VALUES {marks}) AND data <> ?"
            " AND (expires_at IS NULL OR expires_at > ?)",
            [*places, CLEARED, transaction.after(0)],
        )
        for channel_id, key, number, data in found:
            transaction.entries[channel_id, key] = number, data.encode()

    def apply(self, transaction: Transaction) -> None:
        self.change = None
        head = transaction.heads[self.channel]
        place = head.id, self.key
        number, current = transaction.entries.get(place, (0, None))
        if self._changes(current):
            previous, number = head.number, head.advance()
            event = events.storage_updated(self.channel, self.key, self.data, self._meta)
            self.change = Change(self.channel, previous, number, event, key=self.key)
            self._report(transaction, current)
        elif self.data is None:
            return
        transaction.entries[place] = number, self.data
        transaction.add("storage", (*place, number, *self._row(transaction)))

    def _report(self, transaction: Transaction, previous: bytes | None) -> None:
        if self.source is None:
            return
        kept = self.data is not None and self.store != FOR_EVER
        expires = transaction.now + timedelta(seconds=self.store) if kept else None
        transaction.report(
            reports.storage_updated,
            *(self.channel, self.key, self.data or b"null", previous or b"null"),
            *(self._meta or b"null", expires, self.source),
        )

    def _changes(self, current: bytes | None) -> bool:
        if current is None or self.data is None:
            return current is not self.data
        return not same_value(current, self.data)

    @property
    def _meta(self) -> bytes | None:
        return None if self.data is None else self.meta

    def _row(self, transaction: Transaction) -> tuple[object, ...]:
        """Its columns from `data` on. A cleared entry stays as a mark that expires at once."""
        if self.data is None:
            return CLEARED, None, "null", False, transaction.after(0), False
        expires = None if self.store == FOR_EVER else transaction.after(self.store)
        reported = self.source is not None and transaction.reporting
        return self.data.decode(), self.uid, self.umd, self.meta is None, expires, reported

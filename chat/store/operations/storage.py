"""Storage entries, and their expiry (protocol.md section 12)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from chat.fanout.announcements import Change
from chat.protocol import events
from chat.protocol.jsontext import same_value
from chat.protocol.publication import FOR_EVER, Source
from chat.store import demo
from chat.store.operations.limits import Limit, hold, load_held
from chat.store.reports import Time, instant, raw, request
from chat.store.transaction import (
    OPERATION_BYTES,
    ChannelOperation,
    Operation,
    Row,
    Transaction,
    marks,
)

CLEARED: Final = ""  # what a cleared entry's row holds for its value
ENTRIES: Final = (
    "SELECT channel_id, key, number, data, CASE WHEN by_server THEN NULL ELSE uid END"
    " FROM chat_storageentry WHERE (channel_id, key) IN (VALUES {}) AND data <> ?"
    " AND (expires_at IS NULL OR expires_at > ?)"
)
HELD: Final = (
    "SELECT uid, count(*) FROM chat_storageentry WHERE uid IN ({}) AND NOT by_server AND data <> ?"
    " AND (expires_at IS NULL OR expires_at > ?) GROUP BY uid"
)
KIND: Final = "storage entry"
TAKE_EXPIRED: Final = (
    "UPDATE chat_storageentry SET reports_expiry = FALSE"
    " WHERE reports_expiry AND expires_at <= ? AND {} RETURNING channel_id, key, data, expires_at"
)


@dataclass(slots=True)
class SetStorage(ChannelOperation[None]):
    """Sets an entry, or clears it where `data` is None; only a change of its value is announced.
    `meta` None: by the server API; `source` None: no backend event is wanted, nor of its expiry.
    With an `owner`, an entry that somebody else wrote meanwhile stays."""

    key: str
    data: bytes | None
    uid: str | None
    umd: str
    meta: bytes | None
    store: int = FOR_EVER  # seconds
    source: Source | None = None
    limit: Limit | None = None  # of its uid's entries
    owner: str | None = None

    @property
    def size(self) -> int:
        return OPERATION_BYTES + len(self.data or b"")

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Reads the entries that are set; one that has expired counts as unset."""
        written = {(transaction.heads[it.channel].id, it.key) for it in operations}
        values = ",".join(["(?, ?)"] * len(written))
        places = [part for pair in written for part in pair]
        _report_expired(transaction, f"(channel_id, key) IN (VALUES {values})", places)
        now = transaction.after(0)
        found: list[tuple[int, str, int, str, str | None]] = transaction.select(
            ENTRIES.format(values), [*places, CLEARED, now]
        )
        for channel_id, key, number, data, uid in found:
            transaction.entries[channel_id, key] = number, data.encode(), uid
        load_held(transaction, KIND, HELD, (each.limit for each in operations), CLEARED, now)

    def apply(self, transaction: Transaction) -> None:
        head = transaction.heads[self.channel]
        place = head.id, self.key
        number, current, owner = transaction.entries.get(place, (0, None, None))
        changes = not _same(self.data, current)
        if (self.data is None and not changes) or self.owner not in (None, owner):
            return
        if self.data is not None:
            demo.charge(transaction, self.channel, self.data)
            if owner != self.uid:
                hold(transaction, KIND, self.limit)
        if owner is not None and (self.data is None or owner != self.uid):
            transaction.held[KIND, owner] -= 1
        lasts = self.data is None or self.store == FOR_EVER
        expires = None if lasts else transaction.after(self.store)
        if changes:
            previous, number = head.number, head.advance()
            meta = None if self.data is None else self.meta
            event = events.storage_updated(self.channel, self.key, self.data, meta, number)
            self.announced = (Change(self.channel, previous, number, event, key=self.key),)
            if self.source is not None:
                changed = self.channel, self.key, self.data, current, meta
                _report_updated(transaction, *changed, expires, self.source)
        client = None if self.data is None or self.meta is None else self.uid
        transaction.entries[place] = number, self.data, client
        transaction.add("storageentry", (*place, number, *self._row(transaction, expires)))

    def _row(self, transaction: Transaction, expires: Time | None) -> Row:
        """Its columns from `data` on. A cleared entry stays as a mark that expires at once."""
        if self.data is None:
            return CLEARED, None, "null", False, transaction.after(0), False
        reported = self.source is not None and transaction.reporting
        return self.data.decode(), self.uid, self.umd, self.meta is None, expires, reported


def _same(data: bytes | None, current: bytes | None) -> bool:
    if data is None or current is None:
        return data is current
    return same_value(data, current)


@dataclass(slots=True)
class ReportExpiries(Operation[None]):
    """Reports the expiry of these entries, by their rows' ids, unless that was done or they were
    written anew."""

    ids: Sequence[int]
    channels: tuple[str, ...]

    def locks(self) -> tuple[str, ...]:
        return self.channels

    def apply(self, transaction: Transaction) -> None:
        _report_expired(transaction, f"id IN ({marks(self.ids)})", self.ids)


def _report_expired(transaction: Transaction, which: str, values: Iterable[object]) -> None:
    """Those for which `which`, a condition with `values`, holds; their channels must be locked."""
    if not transaction.reporting:
        return
    expired: list[tuple[int, str, str, Time]] = transaction.select(
        TAKE_EXPIRED.format(which), [transaction.after(0), *values]
    )
    for channel, key, data, expires in sorted(expired, key=lambda row: (row[3], row[:2])):
        changed = transaction.names[channel], key, None, data.encode(), None
        _report_updated(transaction, *changed, expires, None)


def _report_updated(
    transaction: Transaction,
    channel: str,
    key: str,
    data: bytes | None,
    previous: bytes | None,
    meta: bytes | None,
    expires: Time | None,
    source: Source | None,
) -> None:
    """`source` None: the entry has expired, nobody changed it."""
    values = {
        **{"channel": channel, "key": key},
        **{"data": raw(data), "dataPrevious": raw(previous), "expired": source is None},
        **{"expiresAt": instant(expires), "meta": raw(meta)},
    }
    metadata = {"key": key, **request(source)}
    transaction.report("hotsock.channelStorageUpdated", "channelStorage", channel, values, metadata)

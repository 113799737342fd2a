"""The transactional outbox, on PostgreSQL (design.md section 4, "Somebody else's transaction").

What a caller's transaction writes becomes an entry of its own and locks nothing that others need.
Once it is committed, whoever locks its channel takes it and does it first.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import DataError, Error, IntegrityError

from chat.conf import settings
from chat.counts import counts
from chat.fanout.announcements import Announcement
from chat.models import OutboxEntry
from chat.protocol.errors import ProtocolError
from chat.store.databases import DatabaseUnavailable, connection, on_commit
from chat.store.operations.deduplication import PublishOnce
from chat.store.operations.messages import PublishMessage
from chat.store.operations.work import UnreadableWork, decode, encode
from chat.store.transaction import OUTBOX_WAITS, ChannelOperation, Operation, Transaction

log = logging.getLogger("chat.outbox")

MAX_TAKEN: Final = 500  # entries in one transaction
MAX_TAKEN_BYTES: Final = 4 * 2**20
MAX_WAITING_BYTES: Final = 256 * 2**20
EPHEMERAL_SECONDS: Final = 60  # an ephemeral message that is older reaches nobody
COUNT_SECONDS: Final = 1.0
MAX_FOLLOWED: Final = 10_000  # channels
MAX_PROBLEM: Final = 1000  # characters
NO_SCHEDULE: Final = "There is no such schedule: it is done or cancelled already."

ADD: Final = (
    "INSERT INTO chat_outboxentry (channel, work) VALUES (%s, %s)"
    " RETURNING pg_current_xact_id()::text"
)
WAITING: Final = (
    "SELECT count(*), coalesce(sum(octet_length(work)), 0) FROM"
    " (SELECT work FROM chat_outboxentry WHERE parked_at IS NULL LIMIT %s) AS waiting"
)
# Of each channel the oldest, then of each the second, and so on: a long backlog holds up no other.
TAKE: Final = (
    "DELETE FROM chat_outboxentry WHERE id IN (SELECT id FROM"
    " (SELECT id, place, sum(size) OVER (ORDER BY place, id) - size AS before"
    " FROM unnest(?::text[]) AS locked (name) CROSS JOIN LATERAL"
    " (SELECT id, octet_length(work) AS size, row_number() OVER (ORDER BY id) AS place"
    " FROM chat_outboxentry WHERE channel = name AND parked_at IS NULL ORDER BY id LIMIT ?)"
    " AS oldest) AS sized WHERE before < ? ORDER BY place, id LIMIT ?)"
    " RETURNING id, channel, work, created_at, octet_length(work)"
)
STILL_WAITING: Final = "SELECT name FROM unnest(?::text[]) AS locked (name) WHERE {}"
PARK: Final = (
    "INSERT INTO chat_outboxentry (id, channel, work, created_at, parked_at, problem)"
    " VALUES (?, ?, ?, ?, clock_timestamp(), ?)"
)
PARK_WAITING: Final = (
    "UPDATE chat_outboxentry SET parked_at = clock_timestamp(), problem = %s WHERE id = %s"
)

_thread = threading.local()
_committed: OrderedDict[str, float] = OrderedDict()  # channel -> when its last entry was, here


# --- in the caller's transaction ----------------------------------------------------------------


class Room:
    """How much more may wait: counted at most each second, and by what is added here."""

    def __init__(self) -> None:
        self._entries = self._bytes = 0
        self._counted_at = 0.0

    def take(self, bytes: int) -> bool:
        """Whether there is room for an entry of this size."""
        now = time.monotonic()
        if min(self._entries, self._bytes) <= 0 or now - self._counted_at > COUNT_SECONDS:
            with connection.cursor() as cursor:
                cursor.execute(WAITING, [settings.OUTBOX_MAX])
                [(entries, size)] = cursor.fetchall()
            self._entries = settings.OUTBOX_MAX - entries
            self._bytes = MAX_WAITING_BYTES - int(size)
            self._counted_at = now
        self._entries -= 1
        self._bytes -= bytes
        return min(self._entries, self._bytes) >= 0


room: Final = Room()


def takes_part() -> bool:
    """Whether a write in this thread is one of a caller's transaction, for the outbox."""
    connected = connection.connection is not None
    autocommit = connection.autocommit if connected else connection.settings_dict["AUTOCOMMIT"]
    return connection.vendor == "postgresql" and (connection.in_atomic_block or not autocommit)


def add(channel: str, operation: Operation[Any], wake: Callable[[], object]) -> None:
    """A write to this channel, to be done after the commit; then `wake` is called, once for a
    transaction. Outside of `atomic`, where autocommit is off, Django calls nothing after a commit:
    servers look by themselves. Raises SERVICE_UNAVAILABLE where OUTBOX_MAX entries or
    MAX_WAITING_BYTES wait; where the database refuses, it also ends the caller's transaction."""
    work = encode(operation)
    try:
        if not room.take(len(work)):
            raise DatabaseUnavailable("Too many writes wait for a server already; try again.")
        with connection.cursor() as cursor:
            cursor.execute(ADD, [channel, work])
            [(xid,)] = cursor.fetchall()
    except Error as error:
        if connection.in_atomic_block:
            connection.set_rollback(True)
        raise DatabaseUnavailable from error
    if connection.in_atomic_block:
        on_commit(partial(_commit, channel, xid, wake), robust=True)
    else:
        _remember(channel)


def follows(channel: str) -> bool:
    """Whether what this process publishes there now comes behind entries of its own, which may
    still wait: then it must take the way that they took (promise P4)."""
    return time.monotonic() - _committed.get(channel, -EPHEMERAL_SECONDS) < EPHEMERAL_SECONDS


def _remember(channel: str) -> None:
    _committed.pop(channel, None)
    _committed[channel] = time.monotonic()
    if len(_committed) > MAX_FOLLOWED:
        _committed.popitem(last=False)


def _commit(channel: str, xid: str, wake: Callable[[], object]) -> None:
    _remember(channel)
    if getattr(_thread, "woken", None) != xid:
        _thread.woken = xid
        wake()


# --- in a transaction that has locked channels --------------------------------------------------


@dataclass(slots=True)
class Entry:
    id: int
    channel: str
    work: str
    created_at: datetime
    operation: Operation[object] | None = None  # None: there is nothing to be done


@dataclass(slots=True)
class Taken:
    """What one transaction takes, `most` entries, of each channel the oldest; `behind` are the
    channels of which more wait."""

    most: int = MAX_TAKEN
    entries: list[Entry] = field(default_factory=list)
    behind: set[str] = field(default_factory=set)

    def take(self, transaction: Transaction) -> list[Operation[object]]:
        """The entries of the channels that are locked. Gives what is to be done."""
        channels = list(transaction.waiting)
        share = math.ceil(self.most / len(channels))
        rows: list[tuple[int, str, str, datetime, int]] = transaction.select(
            TAKE, [channels, share, MAX_TAKEN_BYTES, self.most]
        )
        self.entries = [Entry(*row[:4]) for row in sorted(rows)]
        if len(rows) >= share or sum(row[4] for row in rows) >= MAX_TAKEN_BYTES:
            waiting: list[tuple[str]] = transaction.select(
                STILL_WAITING.format(OUTBOX_WAITS), [channels]
            )
            self.behind = {name for (name,) in waiting}
        for entry in self.entries:
            self._read(transaction, entry)
        return [entry.operation for entry in self.entries if entry.operation is not None]

    def _read(self, transaction: Transaction, entry: Entry) -> None:
        try:
            operation = decode(entry.work)
        except UnreadableWork as error:
            _park(transaction, entry, f"This cannot be read: {error}.")
            return
        age = transaction.now - entry.created_at
        if _is_ephemeral(operation) and age > timedelta(seconds=EPHEMERAL_SECONDS):
            log.warning("An ephemeral message for %s is dropped: %s old", entry.channel, age)
        else:
            entry.operation = operation

    def perform(self, transaction: Transaction) -> None:
        """Does it; parks what is refused."""
        for entry in self.entries:
            if entry.operation is None:
                continue
            try:
                if entry.operation.perform(transaction) is False:
                    _park(transaction, entry, NO_SCHEDULE)
            except ProtocolError as refusal:
                _park(transaction, entry, refusal.message)

    @property
    def announced(self) -> list[Announcement]:
        done = (entry.operation for entry in self.entries if entry.operation is not None)
        return [item for operation in done for item in operation.announced]


@dataclass(slots=True)
class TakeEntries(ChannelOperation[None]):
    """For a channel that nobody else writes to: whoever locks one takes its entries."""

    def apply(self, transaction: Transaction) -> None:
        pass


def _is_ephemeral(operation: Operation[Any]) -> bool:
    what = operation.what if isinstance(operation, PublishOnce) else operation
    return isinstance(what, PublishMessage) and not what.store


def _park(transaction: Transaction, entry: Entry, problem: str) -> None:
    row = entry.id, entry.channel, entry.work, entry.created_at, problem
    transaction.execute(PARK, row)
    _log_parked(entry, problem)


def _log_parked(entry: Entry, problem: str) -> None:
    counts.parked["outbox"] += 1
    log.error("Outbox entry %d, for %s, is parked: %s", entry.id, entry.channel, problem)


# --- outside of a transaction -------------------------------------------------------------------


def park_failed(entry: Entry, error: Exception) -> bool:
    """Parks an entry that failed alone, so that it does not block its channel. False: it waits,
    since it is the database that failed."""
    if isinstance(error, Error) and not isinstance(error, DataError | IntegrityError):
        return False
    problem = f"{type(error).__name__}: {error}".replace("\0", "")[:MAX_PROBLEM]
    try:
        with connection.cursor() as cursor:
            cursor.execute(PARK_WAITING, [problem, entry.id])
    except Error:
        return False
    _log_parked(entry, problem)
    return True


def waiting_channels(without: Collection[str], most: int) -> list[str]:
    """Channels with entries that wait, `most` at most."""
    names = OutboxEntry.objects.filter(parked_at=None).exclude(channel__in=without)
    return list(names.order_by().values_list("channel", flat=True).distinct()[:most])

"""Connections, their metadata and subscriptions, and tokens that are good for one use (protocol.md
sections 3, 6, 7, 11), with the backend events of each (section 16).

What begins and ends in one batch is never written, but reported.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from chat.fanout.announcements import Change
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.storage import same
from chat.store import reports
from chat.store.listeners import listening
from chat.store.operations.base import Operation
from chat.store.operations.presence import join, leave, load_rosters, update
from chat.store.reports import ConnectionRow
from chat.store.transaction import Transaction, marks
from tokens.names import is_presence

USE_ONCE: Final = (
    "INSERT INTO tokens_usedtoken (digest, expires_at) VALUES (?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE tokens_usedtoken.expires_at <= ? RETURNING digest"
)
COLUMNS: Final = ", ".join(ConnectionRow._fields)
CONNECTION_COLUMNS: Final = len(ConnectionRow._fields)
CONNECTION: Final = f"SELECT {COLUMNS} FROM chat_connection WHERE id = ?"  # noqa: S608
END_CONNECTION: Final = "DELETE FROM chat_connection WHERE id = ?"
HELD: Final = "SELECT id, node_id FROM chat_connection WHERE id IN ({})"
UPDATE_CONNECTION: Final = "UPDATE chat_connection SET umd = ? WHERE id = ?"
UPDATE_SUBSCRIPTION: Final = (
    "UPDATE chat_subscription SET umd = ? WHERE connection_id = ?"
    " AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)"
)
SET_STALE: Final = "UPDATE chat_connection SET stale = ? WHERE id = ?"
READ_STALE: Final = f"{SET_STALE} RETURNING umd"
READ_SUBSCRIBED: Final = (
    "SELECT c.name, s.umd FROM chat_subscription s JOIN chat_channel c ON c.id = s.channel_id"
    " WHERE s.connection_id = ?"
)
COUNTS: Final = (
    "SELECT channel_id, count(*) FROM chat_subscription"
    " WHERE channel_id IN ({}) AND counted GROUP BY channel_id"
)
COUNT: Final = (
    "SELECT name, (SELECT count(*) FROM chat_subscription s WHERE s.channel_id = c.id AND counted)"
    " FROM chat_channel c WHERE id = ?"
)
END_SUBSCRIPTIONS: Final = "DELETE FROM chat_subscription WHERE connection_id = ?"
END_SUBSCRIPTION: Final = (
    f"{END_SUBSCRIPTIONS} AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)"  # noqa: S608
)
REPORTED: Final = "connection_id, channel_id, uid, umd, counted"  # of a subscription

SubscriptionRow = tuple[str, int, str | None, str, bool]
"""What is REPORTED: how a row to be inserted begins."""


@dataclass(slots=True, frozen=True)
class SingleUse:
    """A token that may be used once: its jti's digest, and until when that is remembered."""

    digest: str
    expires_at: datetime

    def consume(self, transaction: Transaction) -> None:
        """Raises INVALID_SUBSCRIBE_TOKEN where it was used before, in any process, or has expired
        by the database's clock: by then its use may be forgotten.

        One statement, at once: where another process uses it at this moment, it waits for that
        one's commit and then finds the row. Reading first would find nothing in both.
        """
        until, now = map(transaction.moment, (self.expires_at, transaction.now))
        used: list[tuple[str]] = []
        if self.expires_at > transaction.now:
            used = transaction.select(USE_ONCE, [self.digest, until, now])
        if not used:
            raise ProtocolError(
                ErrorCode.INVALID_SUBSCRIBE_TOKEN, "The token was good for one use."
            )


# --- connections --------------------------------------------------------------------------------


@dataclass(slots=True)
class OpenConnection(Operation[datetime]):
    """Registers a connection and gives the moment at which it ends at the latest."""

    id: str
    node_id: str
    secret_hash: str
    claims: str
    uid: str | None
    umd: str
    address: str
    user_agent: str
    max_seconds: int
    single_use: SingleUse | None = None

    def apply(self, transaction: Transaction) -> datetime:
        if self.single_use is not None:
            self.single_use.consume(transaction)
        now = transaction.moment(transaction.now)
        row = ConnectionRow(
            *(self.id, now, self.claims, self.address, self.uid, self.umd, self.user_agent)
        )
        until = transaction.after(self.max_seconds)
        transaction.add("connection", (*row, self.node_id, self.secret_hash, until, False))
        transaction.report(reports.connection, "connected", row)
        return transaction.now + timedelta(seconds=self.max_seconds)


@dataclass(slots=True)
class CloseConnection(Operation[None]):
    """Removes a connection and its subscriptions; its secret stops working.

    `channels` are those in which it may be and whose listeners are notified: the members of
    presence channels and, where it listens, the application's backend of any.
    """

    id: str
    channels: tuple[str, ...] = ()

    def locks(self) -> tuple[str, ...]:
        return self.channels

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        _load(transaction, {name for each in operations for name in each.channels})

    def apply(self, transaction: Transaction) -> None:
        ended: list[SubscriptionRow] = transaction.delete(END_SUBSCRIPTIONS, [self.id], REPORTED)
        for subscription in ended + transaction.withdraw("subscription", self.id):
            _report_subscription(transaction, "unsubscribed", subscription)
        presence = filter(is_presence, self.channels)
        self.announced = [each for name in presence for each in leave(transaction, name, self.id)]
        rows: list[ConnectionRow] = transaction.delete(END_CONNECTION, [self.id], COLUMNS)
        for row in rows + transaction.withdraw("connection", self.id):
            own = ConnectionRow._make(row[:CONNECTION_COLUMNS])
            transaction.report(reports.connection, "disconnected", own, transaction.now)


# --- subscriptions ------------------------------------------------------------------------------


@dataclass(slots=True)
class Subscribe(Operation[tuple[str, int]]):
    """Registers a subscription and gives where the channel stood: last message id, number.

    On presence channels `members` is the JSON of their list afterwards, and `node_id` must be the
    node that holds the connection: one that others took for dead joins nothing any more.
    """

    connection_id: str
    channel: str
    claims: str
    uid: str | None
    umd: str
    counted: bool = True
    single_use: SingleUse | None = None
    node_id: str = ""
    members: bytes | None = None
    held: bool = False

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        _load(transaction, {each.channel for each in operations})
        joining = [each for each in operations if is_presence(each.channel)]
        if not joining:
            return
        ids = sorted({each.connection_id for each in joining})
        sql = HELD.format(marks(ids))
        if transaction.postgresql:
            sql += " FOR SHARE"  # nobody gives the connection to another node before the commit
        held: list[tuple[str, str]] = transaction.select(sql, ids)
        for each in joining:
            each.held = (each.connection_id, each.node_id) in held

    def apply(self, transaction: Transaction) -> tuple[str, int]:
        present = is_presence(self.channel)
        if present:
            self._check_joining(transaction)
        if self.single_use is not None:
            self.single_use.consume(transaction)
        head = transaction.heads[self.channel]
        row = (self.connection_id, head.id, self.uid, self.umd, self.counted)
        now = transaction.moment(transaction.now)
        transaction.add("subscription", (*row, self.claims, head.last_message_id, now))
        _report_subscription(transaction, "subscribed", row)
        self.announced = changes = self._join(transaction) if present else []
        # It is not sent that it joined, but it is sent the update that it causes.
        return head.last_message_id, head.number - any(change.echo for change in changes)

    def _check_joining(self, transaction: Transaction) -> None:
        if not self.held:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "This connection has ended.")
        transaction.rosters[self.channel].check_room(self.uid or "", self.umd)

    def _join(self, transaction: Transaction) -> list[Change]:
        uid = self.uid or ""
        changes = join(transaction, self.channel, self.connection_id, uid, self.umd)
        self.members = transaction.rosters[self.channel].json()
        return changes


@dataclass(slots=True)
class Unsubscribe(Operation[None]):
    connection_id: str
    channel: str

    def locks(self) -> tuple[str, ...]:
        return (self.channel,) if is_presence(self.channel) or listening() else ()

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        _load(transaction, {each.channel for each in operations})

    def apply(self, transaction: Transaction) -> None:
        where = [self.connection_id, self.channel]
        ended: list[SubscriptionRow] = transaction.delete(END_SUBSCRIPTION, where, REPORTED)
        if head := transaction.heads.get(self.channel):
            ended += transaction.withdraw("subscription", self.connection_id, head.id)
        for row in ended:
            _report_subscription(transaction, "unsubscribed", row)
        if is_presence(self.channel):
            self.announced = leave(transaction, self.channel, self.connection_id)


def _load(transaction: Transaction, channels: Collection[str]) -> None:
    """The members of these channels, which must be locked, and how many subscribe to each, before
    anything is applied."""
    load_rosters(transaction, channels)
    if not transaction.reporting or not channels:
        return
    ids = [transaction.heads[name].id for name in channels]
    transaction.counts.update(dict.fromkeys(channels, 0))
    rows: list[tuple[int, int]] = transaction.select(COUNTS.format(marks(ids)), ids)
    transaction.counts.update((transaction.names[id], count) for id, count in rows)


def _report_subscription(transaction: Transaction, kind: str, row: SubscriptionRow) -> None:
    """`subscribed` or `unsubscribed`, and how many subscribe now."""
    if not transaction.reporting:
        return
    connection_id, channel_id, uid, umd, counted = row[:5]
    channel = transaction.names.get(channel_id, "")
    if channel not in transaction.counts:  # nobody knew that the connection is in this one
        found: list[tuple[str, int]] = transaction.select(COUNT, [channel_id])
        [(channel, left)] = found
        transaction.names[channel_id], transaction.counts[channel] = channel, left + counted
    transaction.report(reports.subscription, kind, channel, connection_id, uid, umd)
    if counted:
        transaction.counts[channel] += 1 if kind == "subscribed" else -1
        transaction.report(reports.channel_updated, channel, transaction.counts[channel])


# --- metadata -----------------------------------------------------------------------------------


@dataclass(slots=True)
class UpdateUmd(Operation[None]):
    """Gives metadata to subscriptions of a connection and, where `own`, to later ones.

    `umd` is JSON text; with `stale` the process that holds the connection is to read it again.
    Raises NOT_SUBSCRIBED where the only channel is left by now,
    INVALID_CONNECTION where the connection has ended, PRESENCE_CHANNEL_CAPACITY_REACHED; then
    nothing changes.
    """

    connection_id: str
    umd: str
    channels: tuple[str, ...]
    own: bool
    stale: bool = False

    def locks(self) -> tuple[str, ...]:
        return tuple(filter(is_presence, self.channels))

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_rosters(transaction, (name for each in operations for name in each.locks()))

    def apply(self, transaction: Transaction) -> None:
        id, rosters = self.connection_id, transaction.rosters
        present = [name for name in self.locks() if id in rosters[name].subscribers]
        for name in present:
            uid = rosters[name].subscribers[id]
            rosters[name].check_room(uid, self.umd, name if self.own else None)
        self._write(transaction)
        self.announced = [
            change for name in present for change in update(transaction, name, id, self.umd)
        ]

    def _write(self, transaction: Transaction) -> None:
        if self.stale:  # the connection's row first, as with `own`: two in two orders would lock
            transaction.execute(SET_STALE, (True, self.connection_id))
        if self.own:
            self._write_own(transaction)
        updated = [
            transaction.execute(UPDATE_SUBSCRIPTION, (self.umd, self.connection_id, name)).rowcount
            for name in self.channels
        ]
        if not self.own and not any(updated):
            raise ProtocolError(ErrorCode.NOT_SUBSCRIBED, "You are not subscribed to this channel.")

    def _write_own(self, transaction: Transaction) -> None:
        before: list[ConnectionRow] = (
            transaction.select(CONNECTION, [self.connection_id]) if transaction.reporting else []
        )
        if not transaction.execute(UPDATE_CONNECTION, (self.umd, self.connection_id)).rowcount:
            raise _connection_ended()
        for row in map(ConnectionRow._make, before):
            if not same(row.umd.encode(), self.umd.encode()):
                now = row._replace(umd=self.umd)
                transaction.report(reports.connection, "connectionUpdated", now)


@dataclass(slots=True)
class ReadAgain(Operation[tuple[str, list[tuple[str, str]]]]):
    """Gives the metadata that another process has changed to the one that holds the connection:
    its own, and that of each channel it subscribes to. Raises INVALID_CONNECTION."""

    connection_id: str

    def apply(self, transaction: Transaction) -> tuple[str, list[tuple[str, str]]]:
        own: list[tuple[str]] = transaction.select(READ_STALE, [False, self.connection_id])
        if not own:
            raise _connection_ended()
        return own[0][0], transaction.select(READ_SUBSCRIBED, [self.connection_id])


def _connection_ended() -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_CONNECTION, "The connection has ended.")

"""Connections and their subscriptions, and tokens that are good for one use."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from chat.fanout.announcements import Announcement, Change
from chat.protocol import ids
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.listeners import listening
from chat.store.operations.base import Operation
from chat.store.operations.presence import enter, leave, load_rosters
from chat.store.operations.subscribers import (
    connected,
    end_connection,
    end_subscription,
    end_subscriptions,
    load_counts,
    report_begun,
)
from chat.store.transaction import Head, Transaction
from tokens.names import is_presence

USE_ONCE: Final = (
    "INSERT INTO tokens_usedtoken (digest, expires_at) VALUES (?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE tokens_usedtoken.expires_at <= ? RETURNING digest"
)


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
        used = self.expires_at > transaction.now and transaction.select(
            USE_ONCE, [self.digest, *map(transaction.moment, (self.expires_at, transaction.now))]
        )
        if not used:
            raise ProtocolError(
                ErrorCode.INVALID_SUBSCRIBE_TOKEN, "The token was good for one use."
            )


@dataclass(slots=True)
class OpenConnection(Operation):
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
        now = transaction.now
        transaction.add(
            "connection",
            (
                *(self.id, self.node_id, self.secret_hash, self.claims, self.uid, self.umd),
                *(self.address, self.user_agent),
                *(transaction.moment(now), transaction.after(self.max_seconds)),
            ),
        )
        row = self.id, self.claims, self.address, self.uid, self.umd, self.user_agent
        transaction.report(connected, *row, now)
        return now + timedelta(seconds=self.max_seconds)


@dataclass(slots=True)
class CloseConnection(Operation):
    """Removes a connection and its subscriptions; its secret stops working.

    `channels` are those in which it may be and where somebody is told: the members of presence
    channels and, where it listens, the application's backend of any.
    """

    id: str
    channels: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)

    def locks(self) -> tuple[str, ...]:
        return self.channels

    @property
    def announced(self) -> Sequence[Announcement]:
        return self.changes

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        channels = {name for each in operations for name in each.channels}
        load_rosters(transaction, channels)
        load_counts(transaction, channels)

    def apply(self, transaction: Transaction) -> None:
        if transaction.reporting:
            end_subscriptions(transaction, self.id)
        presence = filter(is_presence, self.channels)
        left = [leave(transaction, name, self.id) for name in presence]
        self.changes = [change for change in left if change is not None]
        if transaction.reporting:
            end_connection(transaction, self.id)
            return
        transaction.delete("DELETE FROM chat_subscription WHERE connection_id = ?", (self.id,))
        transaction.delete("DELETE FROM chat_connection WHERE id = ?", (self.id,))


@dataclass(slots=True)
class Subscribe(Operation):
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
    change: Change | None = None
    held: bool = False

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Sequence[Announcement]:
        return () if self.change is None else (self.change,)

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_counts(transaction, {each.channel for each in operations})
        joining = [each for each in operations if is_presence(each.channel)]
        if not joining:
            return
        load_rosters(transaction, (each.channel for each in joining))
        # Shared with nobody who would give the connection to another node, until the commit.
        ids = sorted({each.connection_id for each in joining})
        sql = f"SELECT id, node_id FROM chat_connection WHERE id IN ({','.join('?' * len(ids))})"  # noqa: S608
        if transaction.postgresql:
            sql += " FOR SHARE"
        held = set(transaction.select(sql, ids))
        for each in joining:
            each.held = (each.connection_id, each.node_id) in held

    def apply(self, transaction: Transaction) -> tuple[str, int]:
        self.change = self.members = None
        if is_presence(self.channel):
            self._check_joining(transaction)
        if self.single_use is not None:
            self.single_use.consume(transaction)
        head: Head = transaction.heads[self.channel]
        head_id = ids.ulid_text(head.last_id) if head.last_id else ""
        now = transaction.moment(transaction.now)
        transaction.add(
            "subscription",
            (
                *(self.connection_id, head.id, self.claims, self.uid, self.umd, self.counted),
                *(head_id, now),
            ),
        )
        row = self.channel, self.connection_id, self.uid, self.umd
        report_begun(transaction, *row, counted=self.counted)
        if is_presence(self.channel):
            self._join(transaction)
        # Its own joining is no event of its own, but an update that it causes is one.
        updates = self.change is not None and self.change.echo
        return head_id, head.number - updates

    def _check_joining(self, transaction: Transaction) -> None:
        if not self.held:
            raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "This connection has ended.")
        transaction.rosters[self.channel].check_room(self.uid or "", self.umd)

    def _join(self, transaction: Transaction) -> None:
        uid = self.uid or ""
        self.change = enter(transaction, self.channel, self.connection_id, uid, self.umd)
        self.members = transaction.rosters[self.channel].json()


@dataclass(slots=True)
class Unsubscribe(Operation):
    connection_id: str
    channel: str
    change: Change | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,) if is_presence(self.channel) or listening() else ()

    @property
    def announced(self) -> Sequence[Announcement]:
        return () if self.change is None else (self.change,)

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        channels = {each.channel for each in operations}
        load_rosters(transaction, filter(is_presence, channels))
        load_counts(transaction, channels)

    def apply(self, transaction: Transaction) -> None:
        self.change = None
        if transaction.reporting:
            end_subscription(transaction, self.connection_id, self.channel)
        if is_presence(self.channel):
            self.change = leave(transaction, self.channel, self.connection_id)
        transaction.delete(
            "DELETE FROM chat_subscription WHERE connection_id = ?"
            " AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)",
            (self.connection_id, self.channel),
        )

"""Connections and their subscriptions, and tokens that are good for one use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chat.delivery.transaction import Head, Transaction
from chat.protocol import ids
from chat.protocol.errors import ErrorCode, ProtocolError

from .base import Operation

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
        return now + timedelta(seconds=self.max_seconds)


@dataclass(slots=True)
class CloseConnection(Operation):
    """Removes a connection and its subscriptions; its secret stops working."""

    id: str

    def apply(self, transaction: Transaction) -> None:
        transaction.delete("DELETE FROM chat_subscription WHERE connection_id = ?", (self.id,))
        transaction.delete("DELETE FROM chat_connection WHERE id = ?", (self.id,))


@dataclass(slots=True)
class Subscribe(Operation):
    """Registers a subscription and gives where the channel stood: last message id, number."""

    connection_id: str
    channel: str
    claims: str
    uid: str | None
    umd: str
    counted: bool = True
    single_use: SingleUse | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    def apply(self, transaction: Transaction) -> tuple[str, int]:
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
        return head_id, head.number


@dataclass(slots=True)
class Unsubscribe(Operation):
    connection_id: str
    channel: str

    def apply(self, transaction: Transaction) -> None:
        transaction.delete(
            "DELETE FROM chat_subscription WHERE connection_id = ?"
            " AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)",
            (self.connection_id, self.channel),
        )

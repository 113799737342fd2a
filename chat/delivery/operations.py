"""What a write can be: each operation names the channels it locks and applies itself to a batch.

Runs in the writer's thread. A refusal found here (a message gone, a token used before) is raised
as ProtocolError before anything is gathered: it is that operation's result, and its batch goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from chat.protocol import events, ids
from chat.protocol.errors import ErrorCode, ProtocolError

from .changes import Change
from .transaction import Head, Transaction

FOR_EVER: Final = -1
USE_ONCE: Final = (
    "INSERT INTO tokens_usedtoken (digest, expires_at) VALUES (?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE tokens_usedtoken.expires_at <= ? RETURNING digest"
)


@dataclass(slots=True)
class Operation:
    """One write; what `apply` returns is the caller's once the batch is committed."""

    def locks(self) -> tuple[str, ...]:
        """The names of the channels whose rows must be locked, and made where missing."""
        return ()

    @property
    def announced(self) -> Change | None:
        """What subscribers are told once it is committed."""
        return None

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Reads what `apply` needs to know, for all operations of this kind at once."""

    def apply(self, transaction: Transaction) -> Any:
        raise NotImplementedError


@dataclass(slots=True)
class StoreMessage(Operation):
    """Stores a message and gives its id. `store` in seconds, -1 for ever; `meta` None: by the
    server API."""

    channel: str
    event: str
    data: bytes
    uid: str | None
    umd: str
    meta: bytes | None
    store: int
    origin: str | None = None
    echo: bool = False
    change: Change | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Change | None:
        return self.change

    def apply(self, transaction: Transaction) -> str:
        head = transaction.heads[self.channel]
        previous, number = head.number, head.advance()
        id = transaction.next_message_id(head)
        expires = None if self.store == FOR_EVER else transaction.after(self.store)
        data, by_server = self.data.decode(), self.meta is None
        transaction.add(
            "message",
            (id, head.id, number, self.event, data, self.uid, self.umd, by_server, expires),
        )
        event = events.message(id, self.event, self.channel, self.data, self.meta)
        self.change = Change(self.channel, previous, number, event, self.origin, self.echo)
        return id


@dataclass(slots=True)
class SetReaction(Operation):
    """Adds or removes a reaction; whether that changed anything is whether it is announced."""

    channel: str
    message_id: str
    uid: str
    umd: str
    meta: bytes
    reaction: str
    action: str
    origin: str | None = None
    echo: bool = False
    change: Change | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @property
    def announced(self) -> Change | None:
        return self.change

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        messages = sorted({operation.message_id for operation in operations})
        marks = ",".join("?" * len(messages))
        transaction.live.update(
            transaction.select(
                f"SELECT id, channel_id FROM chat_message WHERE id IN ({marks})"  # noqa: S608
                " AND (expires_at IS NULL OR expires_at > ?)",
                [*messages, transaction.moment(transaction.now)],
            )
        )
        uids = sorted({operation.uid for operation in operations})
        transaction.standing.update(
            transaction.select(
                "SELECT message_id, uid, reaction FROM chat_reaction"  # noqa: S608
                f" WHERE message_id IN ({marks}) AND uid IN ({','.join('?' * len(uids))})"
                " AND NOT removed",
                [*messages, *uids],
            )
        )

    def apply(self, transaction: Transaction) -> None:
        self.change = None
        head = transaction.heads[self.channel]
        if transaction.live.get(self.message_id) != head.id:
            raise message_not_found()
        key = (self.message_id, self.uid, self.reaction)
        removed = self.action == "remove"
        if (key in transaction.standing) is not removed:
            return
        transaction.standing.symmetric_difference_update([key])
        previous, number = head.number, head.advance()
        now = transaction.moment(transaction.now)
        transaction.reactions[key] = (
            *(self.message_id, head.id, number, self.uid, self.umd),
            *(self.reaction, removed, now),
        )
        event = events.reaction(
            ids.new_id(transaction.ms),
            *(self.channel, self.message_id, self.reaction, self.action, self.meta),
        )
        self.change = Change(self.channel, previous, number, event, self.origin, self.echo)


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
    single_use: SingleUse | None = None

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    def apply(self, transaction: Transaction) -> tuple[str, int]:
        if self.single_use is not None:
            self.single_use.consume(transaction)
        head: Head = transaction.heads[self.channel]
        head_id = ids.ulid_text(head.last_id) if head.last_id else ""
        now = transaction.moment(transaction.now)
        transaction.add("subscription", (self.connection_id, head.id, self.claims, head_id, now))
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


def message_not_found() -> ProtocolError:
    return ProtocolError(
        ErrorCode.MESSAGE_NOT_FOUND,
        "messageId names no stored message of this channel, or it has expired.",
    )

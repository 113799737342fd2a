"""Storing messages, and reactions to them (protocol.md sections 8 and 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from chat.fanout.announcements import Change
from chat.protocol import events, ids
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Source
from chat.store import reports
from chat.store.operations.base import FOR_EVER, ChannelOperation, Operation
from chat.store.transaction import Transaction

# Different ones of one uid to one message, those taken back too, since their marks stay: each
# change reads them all, and a page of history is never cut short.
MAX_REACTIONS: Final = 100


@dataclass(slots=True)
class StoreMessage(ChannelOperation):
    """Stores a message and gives its id. `store` in seconds, -1 for ever; `meta` None: by the
    server API; `source` None: no backend event is wanted."""

    event: str
    data: bytes
    uid: str | None
    umd: str
    meta: bytes | None
    store: int
    origin: str | None = None
    echo: bool = False
    source: Source | None = None

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
        template = transaction.template(self.event, self.channel)
        event = template.message(id, self.data, self.meta)
        self.change = Change(self.channel, previous, number, event, self.origin, self.echo)
        if self.source is not None:
            transaction.report(
                reports.message_published,
                *(self.channel, self.event, id, self.data, self.meta, self.source),
            )
        return id


@dataclass(slots=True)
class ReportMessage(Operation):
    """Writes the backend event of a message that is not stored, and nothing else of it."""

    channel: str
    event: str
    id: str
    data: bytes
    meta: bytes | None
    source: Source

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    def apply(self, transaction: Transaction) -> None:
        transaction.report(
            reports.message_published,
            *(self.channel, self.event, self.id, self.data, self.meta, self.source),
        )


@dataclass(slots=True)
class SetReaction(ChannelOperation):
    """Adds or removes a reaction; whether that changed anything is whether it is announced.

    `source` None: no backend event is wanted.
    """

    message_id: str
    uid: str
    umd: str
    meta: bytes
    reaction: str
    action: str
    origin: str | None = None
    echo: bool = False
    source: Source | None = None

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        messages = sorted({operation.message_id for operation in operations})
        marks = ",".join("?" * len(messages))
        found = transaction.select(
            f"SELECT id, channel_id, expires_at FROM chat_message WHERE id IN ({marks})"  # noqa: S608
            " AND (expires_at IS NULL OR expires_at > ?)",
            [*messages, transaction.moment(transaction.now)],
        )
        transaction.live.update((id, (channel, expires)) for id, channel, expires in found)
        uids = sorted({operation.uid for operation in operations})
        given = transaction.select(
            "SELECT message_id, uid, reaction, removed FROM chat_reaction"  # noqa: S608
            f" WHERE message_id IN ({marks}) AND uid IN ({','.join('?' * len(uids))})",
            [*messages, *uids],
        )
        transaction.standing.update((tuple(key), not removed) for *key, removed in given)
        transaction.reacted.update((message, uid) for message, uid, *_ in given)

    def apply(self, transaction: Transaction) -> None:
        self.change = None
        head = transaction.heads[self.channel]
        channel, expires = transaction.live.get(self.message_id, (None, None))
        if channel != head.id:
            raise message_not_found()
        key = (self.message_id, self.uid, self.reaction)
        removed = self.action == "remove"
        if transaction.standing.get(key, False) is not removed:
            return
        if key not in transaction.standing:
            self._count(transaction)
        transaction.standing[key] = not removed
        previous, number = head.number, head.advance()
        now = transaction.moment(transaction.now)
        transaction.reactions[key] = (
            *(self.message_id, head.id, number, self.uid, self.umd),
            *(self.reaction, removed, now),
        )
        id = ids.new_id(transaction.ms)
        event = events.reaction(
            id, self.channel, self.message_id, self.reaction, self.action, self.meta
        )
        self.change = Change(self.channel, previous, number, event, self.origin, self.echo)
        if self.source is not None:
            transaction.report(
                reports.reaction_changed,
                *(self.action, self.channel, self.message_id, id, self.reaction),
                *(self.uid, self.umd, transaction.now, transaction.time(expires), self.source),
            )

    def _count(self, transaction: Transaction) -> None:
        """One more of this uid's on this message; raises RATE_LIMITED."""
        mine = (self.message_id, self.uid)
        if transaction.reacted[mine] >= MAX_REACTIONS:
            raise ProtocolError(
                ErrorCode.RATE_LIMITED,
                f"{MAX_REACTIONS} different reactions of one uid to one message are the most.",
            )
        transaction.reacted[mine] += 1


def message_not_found() -> ProtocolError:
    return ProtocolError(
        ErrorCode.MESSAGE_NOT_FOUND,
        "messageId names no stored message of this channel, or it has expired.",
    )

"""Messages, stored and ephemeral, and reactions (protocol.md sections 8 and 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from msgspec import Raw

from chat.fanout.announcements import Change, Ephemeral
from chat.protocol import events, ids
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.events import Event
from chat.protocol.publication import FOR_EVER, Source
from chat.store import demo, reports
from chat.store.reports import Time
from chat.store.transaction import OPERATION_BYTES, ChannelOperation, Transaction, marks

# Different reactions of one uid to one message, removed ones too, since their marks stay: each
# change reads them all, and a page of history is never cut short.
MAX_REACTIONS: Final = 100
TOO_MANY_REACTIONS: Final = (
    f"{MAX_REACTIONS} different reactions of one uid to one message are the most."
)

NOBODY: Final = events.meta(None, "null")
MESSAGES: Final = (
    "SELECT id, channel_id, expires_at FROM chat_message WHERE id IN ({})"
    " AND (expires_at IS NULL OR expires_at > ?) AND hidden_at IS NULL"
)
REACTIONS: Final = (
    "SELECT message_id, uid, reaction, removed FROM chat_reaction"
    " WHERE message_id IN ({}) AND uid IN ({})"
)


@dataclass(slots=True)
class PublishMessage(ChannelOperation[str]):
    """Publishes a message and gives its id. `store` 0: it is ephemeral, and all that is written of
    it is its backend event; with an `id` it is announced already. `meta` None: the server publishes
    it; `source` None: no backend event is wanted."""

    event: str
    data: bytes
    uid: str | None
    umd: str
    meta: bytes | None
    store: int  # seconds, or FOR_EVER
    origin: str | None = None
    echo: bool = False
    source: Source | None = None
    id: str = ""

    @property
    def size(self) -> int:
        return OPERATION_BYTES + len(self.data)

    def apply(self, transaction: Transaction) -> str:
        """With a number, also where it is ephemeral: nothing stored later overtakes it (P4)."""
        id = self.id
        if not id:
            if self.store:
                demo.charge(transaction, self.channel, self.data)
            head = transaction.heads[self.channel]
            previous, number = head.number, head.advance()
            template = transaction.template(self.event, self.channel)
            if self.store:
                id = transaction.next_message_id(head)
                expires = None if self.store == FOR_EVER else transaction.after(self.store)
                data, by_server = self.data.decode(), self.meta is None
                transaction.add(
                    "message",
                    (id, head.id, number, self.event, data, self.uid, self.umd, by_server, expires),
                )
                frame = template.stored(id, self.data, self.meta, number)
            else:
                id = ids.new_id(transaction.ms)
                frame = template.frame(id, self.data, self.meta)
            event = Event(frame)
            change = Change(self.channel, previous, number, event, self.origin, self.echo)
            self.announced = (change,)
        if self.source is not None and transaction.reporting:
            self._report(transaction, id, self.source)
        return id

    def _report(self, transaction: Transaction, id: str, source: Source) -> None:
        data: dict[str, object] = {"channel": self.channel, "event": self.event, "id": id}
        data["data"] = Raw(self.data)
        if self.meta is not None and self.meta != NOBODY:
            data["meta"] = Raw(self.meta)
        request = {"event": self.event, "requestId": reports.new_id(), **reports.request(source)}
        transaction.report("hotsock.messagePublished", "message", self.channel, data, request)

    def announce(self, ms: int) -> str:
        """Prepares the announcement of an ephemeral message without a commit: at `ms` milliseconds
        since 1970, behind no change. Gives its id."""
        id = ids.new_id(ms)
        event = events.message(id, self.event, self.channel, self.data, self.meta)
        self.announced = (Ephemeral(self.channel, 0, [event.frame], self.origin, self.echo),)
        return id


@dataclass(slots=True)
class SetReaction(ChannelOperation[None]):
    """Adds or removes a reaction; one that changes nothing is not announced. `source` None: no
    backend event is wanted."""

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
        uids = sorted({operation.uid for operation in operations})
        live: list[tuple[str, int, Time | None]] = transaction.select(
            MESSAGES.format(marks(messages)), [*messages, transaction.moment(transaction.now)]
        )
        transaction.messages.update((id, (channel, expires)) for id, channel, expires in live)
        known: list[tuple[str, str, str, bool]] = transaction.select(
            REACTIONS.format(marks(messages), marks(uids)), [*messages, *uids]
        )
        for message, uid, reaction, removed in known:
            key = message, uid, reaction
            transaction.reacted[key[:2]] += key not in transaction.reactions  # may be loaded twice
            transaction.reactions[key] = not removed

    def apply(self, transaction: Transaction) -> None:
        head = transaction.heads[self.channel]
        channel, expires = transaction.messages.get(self.message_id, (None, None))
        if channel != head.id:
            raise message_not_found()
        key = (self.message_id, self.uid, self.reaction)
        removed = self.action == "remove"
        if transaction.reactions.get(key, False) is not removed:
            return
        if key not in transaction.reactions:
            if transaction.reacted[key[:2]] >= MAX_REACTIONS:
                raise ProtocolError(ErrorCode.RATE_LIMITED, TOO_MANY_REACTIONS)
            transaction.reacted[key[:2]] += 1
        transaction.reactions[key] = not removed
        previous, number = head.number, head.advance()
        row = (number, self.uid, self.umd, self.reaction, removed, transaction.after(0))
        transaction.add("reaction", (self.message_id, head.id, *row))
        id = ids.new_id(transaction.ms)
        event = events.reaction(
            id, self.channel, self.message_id, self.reaction, self.action, self.meta, number
        )
        change = Change(self.channel, previous, number, event, self.origin, self.echo)
        self.announced = (change,)
        if self.source is not None and transaction.reporting:
            self._report(transaction, id, expires, self.source)

    def _report(
        self, transaction: Transaction, id: str, expires: Time | None, source: Source
    ) -> None:
        """`expires` is when the message does."""
        data = {
            **{"channel": self.channel, "messageId": self.message_id, "id": id},
            **{"reaction": self.reaction, "uid": self.uid, "umd": Raw(self.umd)},
            "createdAt": reports.instant(transaction.now),
            "expiresAt": reports.instant(expires),
        }
        request = {"reaction": self.reaction, "requestId": reports.new_id()}
        request |= reports.request(source)
        type = events.REACTION_EVENTS[self.action]
        transaction.report(type, "messageReaction", self.channel, data, request)


def message_not_found() -> ProtocolError:
    return ProtocolError(
        ErrorCode.MESSAGE_NOT_FOUND,
        "messageId names no stored message of this channel that you may read.",
    )

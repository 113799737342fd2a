"""Taking messages away, for good or out of sight, and showing hidden ones again (protocol.md
section 19; docs/moderation.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from chat.fanout.announcements import Change
from chat.protocol import events
from chat.protocol.publication import Source
from chat.store import reports
from chat.store.operations.audit import Actor, record
from chat.store.operations.messages import message_not_found
from chat.store.reports import Time
from chat.store.transaction import ChannelOperation, Operation, Transaction, marks

MAX_MARK_SECONDS: Final = 7 * 86_400  # for so long a client may recover what it missed
WHICH: Final = (
    " WHERE id IN ({}) AND channel_id IN ({}) AND (expires_at IS NULL OR expires_at > ?) {}"
    " RETURNING id, channel_id, event, uid, {}, CASE WHEN expires_at < ? THEN expires_at END"
)
DELETE: Final = f"DELETE FROM chat_message{WHICH}"  # noqa: S608
HIDE: Final = f"UPDATE chat_message SET hidden_at = ?{WHICH}"  # noqa: S608
DELETE_REACTIONS: Final = "DELETE FROM chat_reaction WHERE message_id IN ({})"
SHOW: Final = (
    "UPDATE chat_message SET hidden_at = NULL WHERE id = ? AND channel_id = ?"
    " AND hidden_at IS NOT NULL AND (expires_at IS NULL OR expires_at > ?) RETURNING event, uid"
)
DELETE_MARK: Final = "DELETE FROM chat_deletion WHERE message_id = ?"
FORGET: Final = "UPDATE chat_channel SET forgotten = ? WHERE id = ?"


class Removed(NamedTuple):
    """`hidden`: nobody saw it any more; `expires` None: not within MAX_MARK_SECONDS."""

    id: str
    channel_id: int
    event: str
    uid: str | None
    hidden: bool
    expires: Time | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose messages were asked for and in which channel, as the audit log says it."""

    uid: str | None
    channel: str
    detail: Mapping[str, Any]


@dataclass(slots=True)
class RemoveMessages(Operation[int]):
    """Deletes those of these messages that are in one of the `channels`, with their reactions, or
    `hides` them; leaves a mark of each, which subscribers see go. Gives how many there were; those
    that have expired do not count, and stay.

    `source` is how it was asked, for the backend, which hears of deletions alone. `actor` is who
    asked, for the audit log: an entry for each message or, with `asked`, one that says this."""

    channels: tuple[str, ...]
    ids: tuple[str, ...]
    hides: bool = False
    source: Source | None = None
    actor: Actor | None = None
    asked: Asked | None = None

    def locks(self) -> tuple[str, ...]:
        return self.channels

    def apply(self, transaction: Transaction) -> int:
        found = sorted(self._take(transaction))
        self.announced = [self._mark(transaction, each) for each in found if not each.hidden]
        for each in found:
            transaction.messages.pop(each.id, None)  # nobody reacts to it any more
            if not self.hides:
                self._report(transaction, each)
        if self.actor is not None and found:
            self._record(transaction, self.actor, found)
        return len(found)

    def _take(self, transaction: Transaction) -> list[Removed]:
        channels = [transaction.heads[name].id for name in self.channels]
        now, latest = transaction.after(0), transaction.after(MAX_MARK_SECONDS)
        which = marks(self.ids), marks(channels)
        where = *self.ids, *channels, now, latest
        if self.hides:
            sql = HIDE.format(*which, "AND hidden_at IS NULL", "FALSE")
            return [*map(Removed._make, transaction.select(sql, [now, *where]))]
        sql = DELETE.format(*which, "", "hidden_at IS NOT NULL")
        for id in self.ids:
            transaction.withdraw("reaction", id)
        found = [*map(Removed._make, transaction.select(sql, where))]
        transaction.execute(DELETE_REACTIONS.format(which[0]), self.ids)
        return found

    def _mark(self, transaction: Transaction, gone: Removed) -> Change:
        channel = transaction.names[gone.channel_id]
        head = transaction.heads[channel]
        previous, number = head.number, head.advance()
        until = gone.expires or transaction.after(MAX_MARK_SECONDS)
        transaction.add("deletion", (gone.id, head.id, number, until, gone.expires is None))
        frame = events.message_deleted(channel, gone.id, number)
        return Change(channel, previous, number, frame)

    def _report(self, transaction: Transaction, gone: Removed) -> None:
        channel = transaction.names[gone.channel_id]
        data = {"channel": channel, "messageId": gone.id, "event": gone.event}
        request = {"event": gone.event, "requestId": reports.new_id()}
        request |= reports.request(self.source)
        transaction.report("hotsock.messageDeleted", "messageDeletion", channel, data, request)

    def _record(self, transaction: Transaction, actor: Actor, found: list[Removed]) -> None:
        verb = "hide" if self.hides else "delete"
        if asked := self.asked:
            whose = asked.uid, asked.channel
            record(transaction, actor, f"{verb} messages", *whose, **asked.detail)
            return
        for id, channel_id, event, uid, *_ in found:
            whose = uid, transaction.names[channel_id]
            record(transaction, actor, f"{verb} message", *whose, message=id, event=event)


@dataclass(slots=True)
class DeleteMessage(ChannelOperation[None]):
    """As RemoveMessages does, one; raises MESSAGE_NOT_FOUND."""

    message_id: str
    source: Source | None = None
    actor: Actor | None = None

    def apply(self, transaction: Transaction) -> None:
        one = (self.channel,), (self.message_id,)
        removal = RemoveMessages(*one, source=self.source, actor=self.actor)
        if not removal.apply(transaction):
            raise message_not_found()
        self.announced = removal.announced


@dataclass(slots=True)
class ShowMessage(ChannelOperation[None]):
    """Shows a hidden message again, at its old place in history. Raises MESSAGE_NOT_FOUND.

    Nobody is sent anything: an id that comes once more would be a duplicate, and out of order. But
    the channel's number rises and all before it is forgotten, so that whoever comes back is not
    told that it has recovered, and reads history."""

    message_id: str
    actor: Actor | None = None

    def apply(self, transaction: Transaction) -> None:
        head = transaction.heads[self.channel]
        shown: list[tuple[str, str | None]] = transaction.select(
            SHOW, [self.message_id, head.id, transaction.after(0)]
        )
        if not shown:
            raise message_not_found()
        transaction.withdraw("deletion", self.message_id)
        transaction.execute(DELETE_MARK, [self.message_id])
        transaction.execute(FORGET, [head.advance(), head.id])
        if self.actor is not None:
            [(event, uid)] = shown
            whose = uid, self.channel
            what = {"message": self.message_id, "event": event}
            record(transaction, self.actor, "show message", *whose, **what)

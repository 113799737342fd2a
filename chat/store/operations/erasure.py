"""What is left of a person when all that subscribers saw has gone (docs/moderation.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chat.store.operations.acknowledgement import sender_of
from chat.store.operations.audit import Actor, erased_name, record
from chat.store.transaction import ChannelOperation, Operation, Transaction, marks

# Not what stands: whoever has come back meanwhile may have reacted or joined anew.
REACTIONS: Final = (
    "DELETE FROM chat_reaction WHERE channel_id = ? AND uid = ? AND (removed OR EXISTS"
    " (SELECT 1 FROM chat_message WHERE chat_message.id = message_id"
    " AND (hidden_at IS NOT NULL OR chat_message.expires_at <= ?))) RETURNING number"
)
MEMBERS: Final = (
    "DELETE FROM chat_member WHERE channel_id = ? AND uid = ? AND removed RETURNING number"
)
ENTRIES: Final = (
    "DELETE FROM chat_storageentry WHERE id IN ({}) AND (data = '' OR expires_at <= ?)"
    " RETURNING number"
)
FORGET: Final = "UPDATE chat_channel SET forgotten = ? WHERE id = ? AND forgotten < ?"
ACKNOWLEDGED: Final = "DELETE FROM chat_acknowledgement WHERE sender = ?"
RENAMED: Final = (
    "UPDATE chat_auditentry SET uid = ? WHERE uid = ?",
    "UPDATE chat_restriction SET uid = ?, reason = '' WHERE uid = ?",
)


@dataclass(slots=True)
class EraseMarks(ChannelOperation[None]):
    """Deletes the marks of a person's reactions and memberships in a channel, and of these storage
    entries. From a number below one of theirs, nobody can say any more what is gone."""

    uid: str
    entries: tuple[int, ...]

    def apply(self, transaction: Transaction) -> None:
        channel, now = transaction.heads[self.channel].id, transaction.after(0)
        gone: list[tuple[int]] = transaction.select(REACTIONS, [channel, self.uid, now])
        gone += transaction.select(MEMBERS, [channel, self.uid])
        if self.entries:
            gone += transaction.select(ENTRIES.format(marks(self.entries)), [*self.entries, now])
        if gone:
            [last] = max(gone)
            transaction.execute(FORGET, [last, channel, last])


@dataclass(slots=True)
class FinishErasure(Operation[None]):
    """Forgets what was acknowledged to a person, and names them otherwise in the audit log and in
    what is revoked and banned; the log says who erased how many rows of which kind."""

    uid: str
    actor: Actor
    rows: Mapping[str, int]

    def apply(self, transaction: Transaction) -> None:
        name = erased_name(self.uid)
        transaction.execute(ACKNOWLEDGED, [sender_of(self.uid, "")])
        for sql in RENAMED:
            transaction.execute(sql, [name, self.uid])
        record(transaction, self.actor, "erase user", name, rows=self.rows)

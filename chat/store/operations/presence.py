"""Members of presence channels, and the metadata that they show (protocol.md sections 10, 11)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from chat.fanout.announcements import Announcement, Change
from chat.protocol import events
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.jsontext import same_value
from chat.protocol.presence import Present, Roster
from chat.store import reports
from chat.store.operations.base import Operation
from chat.store.operations.subscribers import UMD, connection_row, connection_updated
from chat.store.transaction import Transaction
from tokens.names import is_presence

MEMBERS: Final = (
    "SELECT channel_id, uid, umd, joined FROM chat_member"
    " WHERE channel_id IN ({}) AND NOT removed ORDER BY joined"
)
SUBSCRIBERS: Final = (
    "SELECT channel_id, connection_id, uid FROM chat_subscription"
    " WHERE channel_id IN ({}) AND uid IS NOT NULL"
)
OF_THE_CONNECTION: Final = "UPDATE chat_connection SET umd = ? WHERE id = ?"
STALE: Final = "UPDATE chat_connection SET stale = ? WHERE id = ?"
READ_OWN: Final = "UPDATE chat_connection SET stale = ? WHERE id = ? RETURNING umd"
READ_SUBSCRIBED: Final = (
    "SELECT c.name, s.umd FROM chat_subscription s JOIN chat_channel c ON c.id = s.channel_id"
    " WHERE s.connection_id = ?"
)
OF_ITS_SUBSCRIPTION: Final = (
    "UPDATE chat_subscription SET umd = ? WHERE connection_id = ?"
    " AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)"
)


def load_rosters(transaction: Transaction, channels: Iterable[str]) -> None:
    """Reads who is in the presence channels among these, which must be locked."""
    rosters = {
        transaction.heads[name].id: transaction.rosters.setdefault(name, Roster())
        for name in channels
        if is_presence(name) and name not in transaction.rosters
    }
    if not rosters:
        return
    marks, ids = ",".join("?" * len(rosters)), list(rosters)
    for channel, uid, umd, joined in transaction.select(MEMBERS.format(marks), ids):
        rosters[channel].load_member(uid, umd, joined)
    for channel, connection, uid in transaction.select(SUBSCRIBERS.format(marks), ids):
        rosters[channel].add_subscriber(connection, uid)


def enter(
    transaction: Transaction, channel: str, connection_id: str, uid: str, umd: str
) -> Change | None:
    """A subscription begins: what that changes, None where its uid is there with this metadata."""
    transaction.rosters[channel].add_subscriber(connection_id, uid)
    return show(transaction, channel, connection_id, uid, umd)


def show(
    transaction: Transaction, channel: str, connection_id: str, uid: str, umd: str
) -> Change | None:
    """A member is to have this metadata; whoever joins is told of it by `hotsock.subscribed`, and
    gets no event of its own."""
    roster, head = transaction.rosters[channel], transaction.heads[channel]
    if not roster.differs(uid, umd):
        return None
    there = uid in roster.members
    previous, number = head.number, head.advance()
    present = roster.put(uid, umd, number)
    _keep(transaction, channel, uid, present, removed=False)
    kind, members = events.MEMBER_UPDATED if there else events.MEMBER_ADDED, roster.json()
    event = events.member(kind, channel, present.json, members)
    transaction.report(reports.member_changed, kind, channel, uid, umd, members)
    return Change(channel, previous, number, event, connection_id, echo=there)


def leave(transaction: Transaction, channel: str, connection_id: str) -> Change | None:
    """A subscription ends: what that changes, None where its uid has another, or it was none."""
    roster, head = transaction.rosters[channel], transaction.heads[channel]
    uid = roster.subscribers.get(connection_id, "")
    gone = roster.drop_subscriber(connection_id)
    if gone is None:
        return None
    previous, number = head.number, head.advance()
    _keep(transaction, channel, uid, gone, removed=True)
    kind, members = events.MEMBER_REMOVED, roster.json()
    event = events.member(kind, channel, gone.json, members)
    transaction.report(reports.member_changed, kind, channel, uid, gone.umd, members)
    return Change(channel, previous, number, event, connection_id)


def _keep(
    transaction: Transaction, channel: str, uid: str, present: Present, *, removed: bool
) -> None:
    head, now = transaction.heads[channel], transaction.moment(transaction.now)
    row = (head.id, uid, present.umd, present.joined, head.number, removed, now)
    transaction.add("member", row)


@dataclass(slots=True)
class UpdateUmd(Operation):
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
    changes: list[Change] = field(default_factory=list)

    def locks(self) -> tuple[str, ...]:
        return tuple(filter(is_presence, self.channels))

    @property
    def announced(self) -> Sequence[Announcement]:
        return self.changes

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        load_rosters(transaction, (name for each in operations for name in each.locks()))

    def apply(self, transaction: Transaction) -> None:
        self.changes = []
        present = self._present(transaction)
        for name, uid in present.items():
            transaction.rosters[name].check_room(uid, self.umd, name if self.own else None)
        self._write(transaction)
        for name, uid in present.items():
            change = show(transaction, name, self.connection_id, uid, self.umd)
            if change is not None:
                self.changes.append(change)

    def _present(self, transaction: Transaction) -> dict[str, str]:
        """The presence channels in which the connection still is, with its uid there."""
        found = {
            name: transaction.rosters[name].subscribers.get(self.connection_id)
            for name in self.locks()
        }
        return {name: uid for name, uid in found.items() if uid is not None}

    def _write(self, transaction: Transaction) -> None:
        if self.stale:  # the connection's row first, as with `own`: two in two orders would lock
            transaction.execute(STALE, (True, self.connection_id))
        if self.own:
            self._write_own(transaction)
        updated = [
            transaction.execute(OF_ITS_SUBSCRIPTION, (self.umd, self.connection_id, name)).rowcount
            for name in self.channels
        ]
        if not self.own and not any(updated):
            raise ProtocolError(ErrorCode.NOT_SUBSCRIBED, "You are not subscribed to this channel.")

    def _write_own(self, transaction: Transaction) -> None:
        before = connection_row(transaction, self.connection_id)
        if not transaction.execute(OF_THE_CONNECTION, (self.umd, self.connection_id)).rowcount:
            raise _ended()
        if before and not same_value(before[UMD].encode(), self.umd.encode()):
            transaction.report(connection_updated, before, self.umd)


@dataclass(slots=True)
class ReadAgain(Operation):
    """Gives the metadata that another process has changed, to the one that holds the connection:
    its own, and that of each channel it subscribes to. Raises INVALID_CONNECTION."""

    connection_id: str

    def apply(self, transaction: Transaction) -> tuple[str, list[tuple[str, str]]]:
        own = transaction.select(READ_OWN, (False, self.connection_id))
        if not own:
            raise _ended()
        subscribed = transaction.select(READ_SUBSCRIBED, (self.connection_id,))
        return own[0][0], [(channel, umd) for channel, umd in subscribed]


def _ended() -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_CONNECTION, "The connection has ended.")

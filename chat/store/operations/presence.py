"""Members of presence channels (protocol.md section 10).

Each function gives the change that it makes, if any.
"""

from collections.abc import Iterable
from typing import Final

from chat.fanout.announcements import Change
from chat.protocol import events
from chat.protocol.presence import Present, Roster
from chat.store import reports
from chat.store.transaction import Transaction, marks
from tokens.names import is_presence

MEMBERS: Final = (
    "SELECT channel_id, uid, umd, joined FROM chat_member"
    " WHERE channel_id IN ({}) AND NOT removed ORDER BY joined"
)
SUBSCRIBERS: Final = (
    "SELECT channel_id, connection_id, uid FROM chat_subscription"
    " WHERE channel_id IN ({}) AND uid IS NOT NULL"
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
    ids = list(rosters)
    members: list[tuple[int, str, str, int]] = transaction.select(MEMBERS.format(marks(ids)), ids)
    for channel, uid, umd, joined in members:
        rosters[channel].put(uid, umd, joined)
    subscribers: list[tuple[int, str, str]] = transaction.select(
        SUBSCRIBERS.format(marks(ids)), ids
    )
    for channel, connection, uid in subscribers:
        rosters[channel].add_subscriber(connection, uid)


def join(
    transaction: Transaction, channel: str, connection_id: str, uid: str, umd: str
) -> list[Change]:
    """A subscription begins."""
    transaction.rosters[channel].add_subscriber(connection_id, uid)
    return update(transaction, channel, connection_id, umd)


def update(transaction: Transaction, channel: str, connection_id: str, umd: str) -> list[Change]:
    """A subscriber's member gets this metadata. One that joins is not sent its own event: it gets
    the members with `hotsock.subscribed`."""
    roster, head = transaction.rosters[channel], transaction.heads[channel]
    uid = roster.subscribers[connection_id]
    if not roster.differs(uid, umd):
        return []
    kind = events.MEMBER_UPDATED if uid in roster.members else events.MEMBER_ADDED
    member = roster.put(uid, umd, head.number + 1)
    return _change(transaction, channel, kind, connection_id, uid, member)


def leave(transaction: Transaction, channel: str, connection_id: str) -> list[Change]:
    """A subscription ends. Its uid stays a member while it has another."""
    roster = transaction.rosters[channel]
    uid = roster.subscribers.get(connection_id, "")
    gone = roster.drop_subscriber(connection_id)
    if gone is None:
        return []
    return _change(transaction, channel, events.MEMBER_REMOVED, connection_id, uid, gone)


def _change(
    transaction: Transaction, channel: str, kind: str, origin: str, uid: str, member: Present
) -> list[Change]:
    """Writes a member as it is now, and reports it."""
    head, members = transaction.heads[channel], transaction.rosters[channel].json()
    previous, number = head.number, head.advance()
    removed, now = kind == events.MEMBER_REMOVED, transaction.moment(transaction.now)
    row = (head.id, uid, member.umd, member.joined, number, removed, now)
    transaction.add("member", row)
    transaction.report(reports.member_changed, kind, channel, uid, member.umd, members)
    event = events.member(kind, channel, member.json, members)
    echo = kind == events.MEMBER_UPDATED
    return [Change(channel, previous, number, event, origin, echo)]

"""Connections, their metadata and subscriptions, members of presence channels, and tokens that are
good for one use (protocol.md sections 3, 6, 7, 10, 11), with the backend events of each.

What begins and ends in one batch is never written, but reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Self

from msgspec import Raw, json

from chat.fanout.announcements import Change
from chat.fanout.member_throttle import too_often
from chat.protocol import events
from chat.protocol.addresses import network
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.jsontext import same_value
from chat.protocol.presence import Present, Roster
from chat.store.epochs import epoch_of
from chat.store.operations.limits import Limit, hold, load_held
from chat.store.operations.restrictions import Admission
from chat.store.reports import Time, instant, listening
from chat.store.transaction import OPERATION_BYTES, Operation, Transaction, marks
from tokens.names import is_presence


class ConnectionRow(NamedTuple):
    """What is reported of a connection, and how its row to be inserted begins."""

    id: str
    connected_at: Time
    claims: str
    address: str
    uid: str | None
    umd: str
    user_agent: str


USE_ONCE: Final = (
    "INSERT INTO tokens_usedtoken (digest, expires_at) VALUES (?, ?)"
    " ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at"
    " WHERE tokens_usedtoken.expires_at <= ? RETURNING digest"
)
COLUMNS: Final = ", ".join(ConnectionRow._fields)
CONNECTION: Final = f"SELECT {COLUMNS} FROM chat_connection WHERE id = ?"  # noqa: S608
END_CONNECTION: Final = "DELETE FROM chat_connection WHERE id = ?"
ENDED: Final = "The connection has ended."
# In their order: two processes that lock several would wait for each other.
LOCK_PLACES: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('chat_connection ' || place, 0))"
    " FROM unnest(?::text[]) AS place"
)
CONNECTED: Final = (
    "SELECT c.network, count(*) FROM chat_connection c JOIN chat_node n ON n.id = c.node_id"
    " WHERE c.network > '' AND c.network IN ({}) AND (n.lease_until > ? OR n.id = ?)"
    " GROUP BY c.network"
)
HELD_BY: Final = (
    "SELECT c.uid, count(*) FROM chat_connection c JOIN chat_node n ON n.id = c.node_id"
    " WHERE c.uid IN ({}) AND NOT c.revoked AND c.expires_at > ?"
    " AND (n.lease_until > ? OR n.id = ?) GROUP BY c.uid"
)
TOO_MANY: Final = "Too many connections from this address."
KIND: Final = "connection"
HELD: Final = "SELECT id, node_id FROM chat_connection WHERE id IN ({})"
UPDATE_CONNECTION: Final = "UPDATE chat_connection SET umd = ? WHERE id = ?"
OF_CHANNEL: Final = "channel_id = (SELECT id FROM chat_channel WHERE name = ?)"
REVOKE: Final = "UPDATE chat_connection SET revoked = ? WHERE id = ?"
HOLD_BACK: Final = (
    f"UPDATE chat_subscription SET ended = ? WHERE connection_id = ? AND {OF_CHANNEL}"  # noqa: S608
)
UPDATE_SUBSCRIPTION: Final = (
    f"UPDATE chat_subscription SET umd = ? WHERE connection_id = ? AND {OF_CHANNEL}"  # noqa: S608
)
SET_STALE: Final = "UPDATE chat_connection SET stale = ? WHERE id = ?"
READ_STALE: Final = f"{SET_STALE} RETURNING umd"
READ_SUBSCRIBED: Final = (
    "SELECT c.name, s.umd FROM chat_subscription s JOIN chat_channel c ON c.id = s.channel_id"
    " WHERE s.connection_id = ?"
)
COUNTS: Final = (
    "SELECT id, name, (SELECT count(*) FROM chat_subscription s"
    " WHERE s.channel_id = c.id AND counted) FROM chat_channel c WHERE id IN ({})"
)
END_SUBSCRIPTIONS: Final = "DELETE FROM chat_subscription WHERE connection_id = ?"
END_SUBSCRIPTION: Final = f"{END_SUBSCRIPTIONS} AND {OF_CHANNEL}"
REPORTED: Final = "connection_id, channel_id, uid, umd, counted"  # of a subscription
MEMBERS: Final = (
    "SELECT channel_id, uid, umd, joined FROM chat_member"
    " WHERE channel_id IN ({}) AND NOT removed ORDER BY joined"
)
SUBSCRIBERS: Final = (
    "SELECT channel_id, connection_id, uid FROM chat_subscription"
    " WHERE channel_id IN ({}) AND uid IS NOT NULL"
)

SubscriptionRow = tuple[str, int, str | None, str, bool]
"""What is REPORTED: how a row to be inserted begins."""


@dataclass(slots=True, frozen=True)
class SingleUse:
    """A token that may be used once: its jti's digest, and until when that is remembered."""

    digest: str
    expires_at: datetime

    def consume(self, transaction: Transaction) -> None:
        """Raises INVALID_SUBSCRIBE_TOKEN where it was used before, in any process, or has expired
        by the database's clock: by then its use may be forgotten. One statement, which waits for
        another process that uses it at this moment; reading first would find nothing in both."""
        values = [self.digest, transaction.moment(self.expires_at), transaction.after(0)]
        if self.expires_at <= transaction.now or not transaction.select(USE_ONCE, values):
            raise ProtocolError(
                ErrorCode.INVALID_SUBSCRIBE_TOKEN, "The token was good for one use."
            )


@dataclass(slots=True)
class SubscriberOperation[Result](Operation[Result]):
    """A write to what subscribes to the channels that it locks. `quiet`: raises RATE_LIMITED where
    it would change a member, and changes nothing."""

    quiet: bool = field(default=False, kw_only=True)

    def _check_quiet(self, *, changes: bool) -> None:
        if self.quiet and changes:
            raise too_often()

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Reads the members of these channels, and how many subscribe to each."""
        channels = {name for each in operations for name in each.locks()}
        if transaction.reporting and channels:
            _count(transaction, [transaction.heads[name].id for name in channels])
        new = [name for name in channels if is_presence(name) and name not in transaction.rosters]
        if not new:
            return
        transaction.rosters.update((name, Roster()) for name in new)
        rosters = {transaction.heads[name].id: transaction.rosters[name] for name in new}
        ids, places = list(rosters), marks(new)
        members: list[tuple[int, str, str, int]] = transaction.select(MEMBERS.format(places), ids)
        for channel, uid, umd, joined in members:
            rosters[channel].put(uid, umd, joined)
        held: list[tuple[int, str, str]] = transaction.select(SUBSCRIBERS.format(places), ids)
        for channel, connection, uid in held:
            rosters[channel].add_subscriber(connection, uid)


@dataclass(slots=True)
class OpenConnection(Operation[datetime]):
    """Registers a connection and gives the moment at which it ends at the latest. Raises
    RATE_LIMITED where its network has `limit` connections on live nodes, 0: any number; OverQuota
    where its uid has as many as its `quota`; and as its `admission` does."""

    id: str
    node_id: str
    secret_hash: str
    claims: str
    uid: str | None
    umd: str
    address: str
    user_agent: str
    max_seconds: float
    single_use: SingleUse | None = None
    limit: int = 0
    admission: Admission | None = None
    quota: Limit | None = None

    @property
    def size(self) -> int:
        return OPERATION_BYTES + len(self.claims)

    @property
    def network(self) -> str:
        """What it counts for."""
        return network(self.address) if self.limit else ""

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        """Counts the connections of their networks and uids; no other process adds any before the
        commit."""
        Admission.load(transaction, [each.admission for each in operations])
        quotas = [each.quota for each in operations if each.quota is not None]
        networks = sorted({each.network for each in operations if each.network})
        places = {*networks, *(f"uid {quota.uid}" for quota in quotas)}
        if places and transaction.postgresql:
            transaction.execute(LOCK_PLACES, [sorted(places)])
        now, node_id = transaction.after(0), operations[0].node_id
        load_held(transaction, KIND, HELD_BY, quotas, now, now, node_id)
        if networks:
            counting, where = CONNECTED.format(marks(networks)), [*networks, now, node_id]
            rows: list[tuple[str, int]] = transaction.select(counting, where)
            transaction.connected.update(dict(rows))

    def apply(self, transaction: Transaction) -> datetime:
        if self.admission is not None:
            self.admission.check(transaction)
        place = self.network
        if place and transaction.connected[place] >= self.limit:
            raise ProtocolError(ErrorCode.RATE_LIMITED, TOO_MANY)
        hold(transaction, KIND, self.quota)
        if self.single_use is not None:
            self.single_use.consume(transaction)
        transaction.connected[place] += 1
        now, about = transaction.after(0), (self.address, self.uid, self.umd, self.user_agent)
        row = ConnectionRow(self.id, now, self.claims, *about)
        held = self.node_id, self.secret_hash, transaction.after(self.max_seconds)
        transaction.add("connection", (*row, *held, False, place))
        _report_connection(transaction, "hotsock.connected", row)
        return transaction.now + timedelta(seconds=self.max_seconds)


@dataclass(slots=True)
class CloseConnection(SubscriberOperation[None]):
    """Removes a connection and its subscriptions; its secret stops working. `channels` are those in
    which it may be and whose members or, where it listens, the backend are notified."""

    id: str
    channels: tuple[str, ...] = ()

    def locks(self) -> tuple[str, ...]:
        return self.channels

    def apply(self, transaction: Transaction) -> None:
        presence = list(filter(is_presence, self.channels))
        rosters = map(transaction.rosters.__getitem__, presence)
        self._check_quiet(changes=any(roster.keeps(self.id) for roster in rosters))
        ended: list[SubscriptionRow] = transaction.delete(END_SUBSCRIPTIONS, [self.id], REPORTED)
        for subscription in ended + transaction.withdraw("subscription", self.id):
            _report_subscription(transaction, subscription, -1)
        self.announced = [each for name in presence for each in _leave(transaction, name, self.id)]
        rows: list[ConnectionRow] = transaction.delete(END_CONNECTION, [self.id], COLUMNS)
        for row in rows + transaction.withdraw("connection", self.id):
            own = ConnectionRow._make(row[: len(ConnectionRow._fields)])
            _report_connection(transaction, "hotsock.disconnected", own, transaction.now)


def _report_connection(
    transaction: Transaction, type: str, row: ConnectionRow, disconnected_at: Time | None = None
) -> None:
    if not transaction.reporting:
        return
    data = {
        "id": row.id,
        "connectedAt": instant(row.connected_at),
        "disconnectedAt": instant(disconnected_at),
        "keepAlive": bool(json.decode(row.claims).get("keepAlive")),
        "sourceIp": row.address,
        "uid": row.uid,
        "umd": Raw(row.umd),
        "userAgent": row.user_agent,
    }
    transaction.report(type, "connection", row.id, data)


@dataclass(slots=True)
class Subscribe(SubscriberOperation[tuple[str, int]]):
    """Registers a subscription and gives where the channel stood: last message id, and the number
    in its `epoch`. On presence channels `members` is the JSON of their list afterwards, and
    `node_id` must be the node that holds the connection: one that others took for dead joins
    nothing any more; and it takes the place of the connection's former subscription, the end of
    which was held back."""

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
    epoch: str = ""
    admission: Admission | None = None

    @property
    def size(self) -> int:
        return OPERATION_BYTES + len(self.claims)

    def locks(self) -> tuple[str, ...]:
        return (self.channel,)

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        SubscriberOperation.load(transaction, operations)
        Admission.load(transaction, [each.admission for each in operations])
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
        if self.admission is not None:
            self.admission.check(transaction)
        roster, uid = transaction.rosters.get(self.channel), self.uid or ""
        if roster is not None:
            if not self.held:
                raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "This connection has ended.")
            self._check_quiet(changes=roster.differs(uid, self.umd))
            roster.check_room(uid, self.umd)
        if self.single_use is not None:
            self.single_use.consume(transaction)
        head = transaction.heads[self.channel]
        self.epoch = epoch_of(head.id, head.epoch)
        if roster is not None and self.connection_id in roster.subscribers:
            _end_subscription(transaction, self.connection_id, self.channel)
        row = (self.connection_id, head.id, self.uid, self.umd, self.counted)
        now, head_id = transaction.after(0), head.last_message_id
        transaction.add("subscription", (*row, self.claims, head_id, now))
        _report_subscription(transaction, row, +1)
        changes: list[Change] = []
        if roster is not None:
            roster.add_subscriber(self.connection_id, uid)
            changes = _update_member(transaction, self.channel, self.connection_id, self.umd)
            self.announced, self.members = changes, roster.json()
        # It is not sent that it joined, but it is sent the update that it causes.
        return head_id, head.number - any(change.echo for change in changes)


@dataclass(slots=True)
class Unsubscribe(SubscriberOperation[None]):
    connection_id: str
    channel: str

    def locks(self) -> tuple[str, ...]:
        return (self.channel,) if is_presence(self.channel) or listening() else ()

    def apply(self, transaction: Transaction) -> None:
        roster = transaction.rosters.get(self.channel)
        self._check_quiet(changes=roster is not None and roster.keeps(self.connection_id))
        _end_subscription(transaction, self.connection_id, self.channel)
        if roster is not None:
            self.announced = _leave(transaction, self.channel, self.connection_id)


@dataclass(slots=True)
class HoldBack(Operation[None]):
    """A connection or, with a channel, its subscription has ended, and its row stays for a while:
    no process serves it any more."""

    connection_id: str
    channel: str | None = None

    def apply(self, transaction: Transaction) -> None:
        if self.channel is None:
            transaction.execute(REVOKE, [True, self.connection_id])
        else:
            transaction.execute(HOLD_BACK, [True, self.connection_id, self.channel])


def _end_subscription(transaction: Transaction, connection_id: str, channel: str) -> None:
    """Removes its row; who is a member stays the same."""
    where = [connection_id, channel]
    ended: list[SubscriptionRow] = transaction.delete(END_SUBSCRIPTION, where, REPORTED)
    if head := transaction.heads.get(channel):
        ended += transaction.withdraw("subscription", connection_id, head.id)
    for row in ended:
        _report_subscription(transaction, row, -1)


def _count(transaction: Transaction, channel_ids: Sequence[int]) -> None:
    """Reads how many subscribe to each of these channels."""
    sql = COUNTS.format(marks(channel_ids))
    rows: list[tuple[int, str, int]] = transaction.select(sql, channel_ids)
    for id, name, count in rows:
        transaction.names[id], transaction.counts[name] = name, count


def _report_subscription(transaction: Transaction, row: SubscriptionRow, step: int) -> None:
    """It begins (+1) or ends (-1), and how many subscribe now."""
    if not transaction.reporting:
        return
    connection_id, channel_id, uid, umd, counted = row[:5]
    channel = transaction.names.get(channel_id, "")
    if channel not in transaction.counts:  # nobody knew that the connection is in this one
        _count(transaction, [channel_id])
        channel = transaction.names[channel_id]
        transaction.counts[channel] += counted
    type = "hotsock.subscribed" if step > 0 else "hotsock.unsubscribed"
    data = {"channel": channel, "connectionId": connection_id, "uid": uid, "umd": Raw(umd)}
    transaction.report(type, "subscription", channel, data)
    if counted:
        transaction.counts[channel] += step
        count = {"name": channel, "subscriptionsCount": transaction.counts[channel]}
        transaction.report("hotsock.channelUpdated", "channel", channel, count)


def _update_member(
    transaction: Transaction, channel: str, connection_id: str, umd: str
) -> list[Change]:
    """A subscriber's member gets this metadata. One that joins is not sent its own event: it gets
    the members with `hotsock.subscribed`."""
    roster, head = transaction.rosters[channel], transaction.heads[channel]
    uid = roster.subscribers[connection_id]
    if not roster.differs(uid, umd):
        return []
    kind = events.MEMBER_UPDATED if uid in roster.members else events.MEMBER_ADDED
    member = roster.put(uid, umd, head.number + 1)
    return _change_member(transaction, channel, kind, connection_id, uid, member)


def _leave(transaction: Transaction, channel: str, connection_id: str) -> list[Change]:
    """A subscription ends. Its uid stays a member while it has another."""
    roster = transaction.rosters[channel]
    uid = roster.subscribers.get(connection_id, "")
    gone = roster.drop_subscriber(connection_id)
    if gone is None:
        return []
    return _change_member(transaction, channel, events.MEMBER_REMOVED, connection_id, uid, gone)


def _change_member(
    transaction: Transaction, channel: str, kind: str, origin: str, uid: str, member: Present
) -> list[Change]:
    """Writes a member as it is now, and reports it."""
    head, members = transaction.heads[channel], transaction.rosters[channel].json()
    previous, number = head.number, head.advance()
    state = number, kind == events.MEMBER_REMOVED, transaction.after(0)
    transaction.add("member", (head.id, uid, member.umd, member.joined, *state))
    data = {"uid": uid, "umd": Raw(member.umd), "members": Raw(members)}
    transaction.report(kind, "channelMember", channel, data)
    event = events.member(kind, channel, member.json, members)
    return [Change(channel, previous, number, event, origin, kind == events.MEMBER_UPDATED)]


@dataclass(slots=True)
class UpdateUmd(SubscriberOperation[None]):
    """Gives metadata to subscriptions of a connection and, where `own`, to later ones; with `stale`
    the process that holds the connection is to read it again.

    Raises NOT_SUBSCRIBED where the only channel is left by now, INVALID_CONNECTION where the
    connection has ended, PRESENCE_CHANNEL_CAPACITY_REACHED; then nothing changes.
    """

    connection_id: str
    umd: str
    channels: tuple[str, ...]
    own: bool
    stale: bool = False
    admission: Admission | None = None

    @property
    def size(self) -> int:
        return OPERATION_BYTES + len(self.umd)

    def locks(self) -> tuple[str, ...]:
        return tuple(filter(is_presence, self.channels))

    @classmethod
    def load(cls, transaction: Transaction, operations: Sequence[Self]) -> None:
        SubscriberOperation.load(transaction, operations)
        Admission.load(transaction, [each.admission for each in operations])

    def apply(self, transaction: Transaction) -> None:
        if self.admission is not None:
            self.admission.check(transaction)
        id, rosters = self.connection_id, transaction.rosters
        present = [name for name in self.locks() if id in rosters[name].subscribers]
        for name in present:
            uid = rosters[name].subscribers[id]
            self._check_quiet(changes=rosters[name].differs(uid, self.umd))
            rosters[name].check_room(uid, self.umd, name if self.own else None)
        self._write(transaction)
        self.announced = [
            change for name in present for change in _update_member(transaction, name, id, self.umd)
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
            raise ProtocolError(ErrorCode.INVALID_CONNECTION, ENDED)
        for row in map(ConnectionRow._make, before):
            if not same_value(row.umd.encode(), self.umd.encode()):
                now = row._replace(umd=self.umd)
                _report_connection(transaction, "hotsock.connectionUpdated", now)


@dataclass(slots=True)
class ReadAgain(Operation[tuple[str, list[tuple[str, str]]]]):
    """Gives the metadata that another process has changed to the one that holds the connection:
    its own, and that of each channel it subscribes to. Raises INVALID_CONNECTION."""

    connection_id: str

    def apply(self, transaction: Transaction) -> tuple[str, list[tuple[str, str]]]:
        own: list[tuple[str]] = transaction.select(READ_STALE, [False, self.connection_id])
        if not own:
            raise ProtocolError(ErrorCode.INVALID_CONNECTION, ENDED)
        return own[0][0], transaction.select(READ_SUBSCRIBED, [self.connection_id])

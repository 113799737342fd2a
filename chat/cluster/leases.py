"""The server processes of a site: each has a row in the database, a node, and counts as alive while
its lease lasts; then the others reap it (design.md section 4, "Nodes")."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import batched
from math import inf
from typing import Final

from django.db.models.functions import Now

from chat.cluster.lease_connection import LeaseConnection
from chat.conf import settings
from chat.counts import counts
from chat.fanout.member_throttle import NOBODY, Members, MemberThrottle, too_often
from chat.models import Node
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.databases import SERVER_SESSION
from chat.store.databases import connection as database
from chat.store.operations.connections import CloseConnection, HoldBack, Unsubscribe
from chat.store.reads import read
from chat.store.transaction import Operation, Transaction, marks
from chat.store.writer import Writer
from tokens.names import PRESENCE_PREFIX, is_presence

log = logging.getLogger("chat.reaper")

VERSION: Final = "0.1.0"
HOST: Final = socket.gethostname()
STATEMENT_SHARE: Final = 1 / 5  # of a lease: how long its renewal may take
LEASE_SHARE: Final = 2 / 3  # of NODE_LEASE_SECONDS (design.md section 4, "Nodes")
LOOK_SECONDS: Final = 0.1
REAP_SECONDS: Final = 1.0
AT_ONCE: Final = 500
MAX_NAMED: Final = 10  # in a line of the log

REMOVE_NODE: Final = (
    "DELETE FROM chat_subscription WHERE connection_id IN"
    " (SELECT id FROM chat_connection WHERE node_id = ?)",
    "DELETE FROM chat_connection WHERE node_id = ?",
    "DELETE FROM chat_node WHERE id = ?",
)
SUBSCRIBED: Final = (
    "SELECT s.connection_id, c.name FROM chat_subscription s"
    " JOIN chat_channel c ON c.id = s.channel_id"
    " JOIN chat_connection o ON o.id = s.connection_id"
    " WHERE o.node_id = ? AND c.name LIKE ?"
)
MARKS: Final = "number", "revoked", "stale"
MARKED: Final = """
    SELECT 'number', CAST(coalesce(max(number), 0) AS text) FROM chat_restriction
    UNION ALL SELECT 'revoked', id FROM chat_connection WHERE node_id = %s AND revoked
    UNION ALL SELECT 'stale', id FROM chat_connection WHERE node_id = %s AND stale
"""
# PostgreSQL forgets `idle_in_transaction_session_timeout` where a Flush follows its last answer, as
# psycopg sends it with `executemany`; and amid a pipeline it takes nobody for idle.
END_BLOCKERS: Final = """
    SELECT holder.pid || ' of ' || coalesce(host(holder.client_addr), 'its host'),
    pg_terminate_backend(holder.pid)
    FROM pg_stat_activity waiting, unnest(pg_blocking_pids(waiting.pid)) AS blocking
    JOIN pg_stat_activity holder ON holder.pid = blocking
    WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'
    AND holder.usename = current_user AND holder.wait_event = 'ClientRead'
    AND holder.application_name = %s
    AND holder.state_change < clock_timestamp() - make_interval(secs => %s)
"""

Ended = dict[str, tuple[str, ...]]
"""Connections that have ended, with rows left: id -> channels in which that is announced."""


@dataclass(slots=True, eq=False)
class Lease:
    """This process's, by which others know that it is alive: it is known by its node's id alone,
    for containers share host names and process numbers.

    While the database is away every lease runs out: a process whose own one did takes nobody for
    dead until one full lease after it has renewed it (design.md section 4, "Nodes").
    """

    node_id: str
    writer: Writer
    seconds: float
    renewed_at: float = field(default=-inf, init=False)  # by the loop's clock
    held_since: float = field(default=inf, init=False)
    _own: LeaseConnection = field(init=False)

    def __post_init__(self) -> None:
        self._own = LeaseConnection(self.seconds * STATEMENT_SHARE)

    async def register(self) -> None:
        """Writes the node's row; raises SERVICE_UNAVAILABLE."""
        await self.writer.submit(RegisterNode(self.node_id, HOST, os.getpid(), self.seconds))
        self.note(renewed=True)
        if database.vendor == "sqlite":  # `serve` has waited for the leases of all others
            self.held_since = -inf

    async def renew(self) -> bool:
        """Returns whether the row was there; raises SERVICE_UNAVAILABLE.

        On PostgreSQL it waits for nothing else, whatever is queued or locked. SQLite has one writer
        at a time, and starves a second one.
        """
        found: bool = False
        try:
            if database.vendor == "sqlite":
                found = await self.writer.submit(RenewLease(self.node_id, self.seconds))
            else:
                found = await self._own.renew(self.node_id, self.seconds)
        finally:
            self.note(renewed=found)
        return found

    def end(self) -> None:
        """It is not renewed any more."""
        self._own.close()

    def note(self, *, renewed: bool) -> None:
        now = asyncio.get_running_loop().time()
        if now - self.renewed_at > self.seconds:
            self.held_since = now
        self.renewed_at = now if renewed else -inf

    @property
    def judges(self) -> bool:
        """Whether this process may take others for dead: it was not away itself."""
        now = asyncio.get_running_loop().time()
        return now - self.renewed_at < self.seconds <= now - self.held_since


@dataclass(slots=True, eq=False)
class Reaper:
    """Removes connections that have ended, however they ended: those whose rows could not be
    removed at once, and those of processes that are gone (promise P5).

    Members are notified as if each client had left, a few at a time. One that has changed too often
    leaves in a while: its row stays until then, so that it is found where this process dies.
    """

    lease: Lease
    writer: Writer
    member_throttle: MemberThrottle
    on_taken: Callable[[], object]  # a process is gone, which may not have announced its last
    backlog: Ended = field(default_factory=dict, init=False)
    # Of connections by id: those who are to leave in a while, with them or before they end.
    leaving: dict[str, dict[str, str]] = field(default_factory=dict, init=False)

    async def reap(self) -> float:
        """Finds what other processes have left behind. Returns the seconds until it is to be called
        again; raises SERVICE_UNAVAILABLE."""
        if database.vendor == "postgresql":
            # Until a stopped process that holds locks goes on, nobody could write to these
            # channels, nor announce that its members are gone.
            ended = await read(end_blockers, self.lease.seconds / 2)
            if ended:
                log.error(
                    "A process stood still in a transaction, and held locks: ended its session %s",
                    ", ".join(ended),
                )
        await self.take_over()
        return REAP_SECONDS

    async def remove(self) -> float:
        """Removes what was found, and those who are to leave: beside `reap`, for members who change
        too often can hold it up. Returns the seconds until it is to be called again."""
        await self.close_backlog()
        await self.leave_late()
        return REAP_SECONDS

    async def leave(self, id: str, channel: str, uid: str) -> None:
        """Ends a subscription to a presence channel, now or in a while; raises
        SERVICE_UNAVAILABLE, where it is to be now."""
        operation = Unsubscribe(id, channel)
        try:
            async with self.member_throttle.changing(operation, {channel: uid}, leaving=True):
                await self.writer.submit(operation)
        except ProtocolError as error:
            if error.code is not ErrorCode.RATE_LIMITED:
                raise
            self.leaving.setdefault(id, {})[channel] = uid
            await self.writer.submit(HoldBack(id, channel))

    @contextlib.contextmanager
    def staying(self, id: str, member: Members) -> Iterator[None]:
        """Within, a connection that was to leave in a while subscribes again as the same member;
        raises RATE_LIMITED where it comes as another."""
        leaving = self.leaving.get(id, {})
        if any(leaving.get(channel, uid) != uid for channel, uid in member.items()):
            raise too_often()
        was = {channel: leaving.pop(channel) for channel in member if channel in leaving}
        try:
            yield
        except BaseException:
            if was:
                self.leaving.setdefault(id, {}).update(was)
            raise

    async def leave_late(self) -> None:
        """Those who may leave by now."""
        self.leaving = {id: members for id, members in self.leaving.items() if members}
        due = [(id, *each) for id, members in self.leaving.items() for each in members.items()]
        for part in batched(due, AT_ONCE):
            await asyncio.gather(*(self._leave_late(*each) for each in part))

    async def _leave_late(self, id: str, channel: str, uid: str) -> None:
        operation = Unsubscribe(id, channel)
        async with self.member_throttle.changing(operation, {channel: uid}, leaving=True):
            if self.leaving.get(id, NOBODY).get(channel) == uid:  # it has not come back
                with contextlib.suppress(ProtocolError):
                    await self.writer.submit(operation)
                    self.leaving.get(id, {}).pop(channel, None)

    async def close(
        self, id: str, channels: tuple[str, ...] = (), members: Members = NOBODY
    ) -> None:
        """Removes a connection, as whom it is a member of which of `channels`; where that is too
        early or the database is away, as soon as it may be."""
        uids = {**members, **self.leaving.pop(id, NOBODY)}
        channels = tuple({*channels, *uids})
        operation, presence = CloseConnection(id, channels), filter(is_presence, channels)
        throttle = self.member_throttle
        try:
            async with throttle.changing(operation, uids, leaving=True, channels=presence):
                await self.writer.submit(operation)
        except ProtocolError as error:
            self.backlog[id] = channels
            if uids:
                self.leaving[id] = uids
            if error.code is ErrorCode.RATE_LIMITED:  # else the database is away
                with contextlib.suppress(ProtocolError):
                    await self.writer.submit(HoldBack(id))

    async def close_backlog(self) -> None:
        """What cannot be removed yet stays; its secret would work until then, were it not looked
        up here, too (`chat.http.credentials`). Who takes longer, for somebody else holds a channel
        locked, holds up no other."""
        ended, self.backlog = self.backlog, {}
        for part in batched(ended.items(), AT_ONCE):
            closing = [asyncio.create_task(self.close(id, channels)) for id, channels in part]
            done, _ = await asyncio.wait(closing, timeout=REAP_SECONDS)
            for task in done:
                task.result()

    async def close_all(self) -> None:
        """Those of this process whose end is announced, at once: it has no subscribers any more.

        Raises SERVICE_UNAVAILABLE.
        """
        ended = await self.writer.submit(ListConnections(self.lease.node_id))
        closing = (CloseConnection(id, channels) for id, channels in ended.items())
        await asyncio.gather(*map(self.writer.submit, closing))

    async def take_over(self) -> None:
        """From processes whose lease has run out; exactly one of the others gets each."""
        others = Node.objects.filter(lease_until__lte=Now()).exclude(id=self.lease.node_id)
        if self.lease.judges and (gone := await read(list, others[:MAX_NAMED])):
            counts.takeovers += 1
            log.warning(
                "Taken for dead, as their leases ran out: %s",
                ", ".join(f"{each} (node {each.id})" for each in gone),
            )
            self.backlog.update(await self.writer.submit(TakeOver(self.lease.node_id)))
            self.on_taken()


# --- what is written ----------------------------------------------------------------------------


@dataclass(slots=True)
class RegisterNode(Operation[None]):
    """Writes a node's row. `host` and `pid` are for people to read."""

    id: str
    host: str
    pid: int
    lease_seconds: float

    def apply(self, transaction: Transaction) -> None:
        now, until = transaction.moment(transaction.now), transaction.after(self.lease_seconds)
        transaction.execute(
            "INSERT INTO chat_node (id, host, pid, version, started_at, lease_until)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self.id, self.host, self.pid, VERSION, now, until),
        )


@dataclass(slots=True)
class TakeOver(Operation[Ended]):
    """Removes nodes whose lease has run out, and gives their connections whose end is announced.
    Where several processes do so at once, one gets each node."""

    node_id: str

    def apply(self, transaction: Transaction) -> Ended:
        now = transaction.moment(transaction.now)
        sql = "SELECT id FROM chat_node WHERE id <> ? AND lease_until <= ?"
        if transaction.postgresql:
            sql += " FOR UPDATE SKIP LOCKED"  # another process takes those over at this moment
        gone: list[tuple[str]] = transaction.select(sql, [self.node_id, now])
        return _take_over(transaction, self.node_id, [id for (id,) in gone]) if gone else {}


@dataclass(slots=True)
class RenewLease(Operation[bool]):
    """Gives whether there was a row to renew it in."""

    id: str
    lease_seconds: float

    def apply(self, transaction: Transaction) -> bool:
        renewed = transaction.execute(
            "UPDATE chat_node SET lease_until = ? WHERE id = ?",
            (transaction.after(self.lease_seconds), self.id),
        )
        return bool(renewed.rowcount)


@dataclass(slots=True)
class ListConnections(Operation[Ended]):
    """Gives the connections of a node whose end is announced."""

    node_id: str

    def apply(self, transaction: Transaction) -> Ended:
        own: list[tuple[str]] = transaction.select(
            "SELECT id FROM chat_connection WHERE node_id = ?", (self.node_id,)
        )
        return _ended(transaction, self.node_id, {id for (id,) in own})


@dataclass(slots=True)
class RemoveNode(Operation[None]):
    """Removes a node's row with its connections."""

    id: str

    def apply(self, transaction: Transaction) -> None:
        for sql in REMOVE_NODE:
            transaction.execute(sql, (self.id,))


def _take_over(transaction: Transaction, node_id: str, gone: list[str]) -> Ended:
    """The connections of the nodes that are `gone` become `node_id`'s; those whose end is not
    announced are removed at once, and so are the nodes."""
    rows: list[tuple[str]] = transaction.select(
        f"UPDATE chat_connection SET node_id = ? WHERE node_id IN ({marks(gone)}) RETURNING id",  # noqa: S608
        [node_id, *gone],
    )
    taken = {id for (id,) in rows}
    ended = _ended(transaction, node_id, taken)
    for connection in taken - ended.keys():
        transaction.execute("DELETE FROM chat_subscription WHERE connection_id = ?", (connection,))
        transaction.execute("DELETE FROM chat_connection WHERE id = ?", (connection,))
    transaction.execute(f"DELETE FROM chat_node WHERE id IN ({marks(gone)})", gone)  # noqa: S608
    return ended


def _ended(transaction: Transaction, node_id: str, connections: set[str]) -> Ended:
    """Those of a node's connections whose end is announced: the members of presence channels and,
    where the application's backend listens, all."""
    every = transaction.reporting
    ended: dict[str, list[str]] = {connection: [] for connection in connections if every}
    names = "%" if every else f"{PRESENCE_PREFIX}%"
    subscribed: list[tuple[str, str]] = transaction.select(SUBSCRIBED, [node_id, names])
    for connection, channel in subscribed:
        if connection in connections and (every or is_presence(channel)):  # LIKE may take capitals
            ended.setdefault(connection, []).append(channel)
    return {connection: tuple(channels) for connection, channels in ended.items()}


# --- what is read -------------------------------------------------------------------------------


def marked(node_id: str) -> tuple[int, list[str], list[str]]:
    """The number of the last change of the restrictions; the ids of a node's connections that
    another process has revoked, and of those whose metadata one has changed."""
    with database.cursor() as cursor:
        cursor.execute(MARKED, [node_id, node_id])
        rows: list[tuple[str, str]] = cursor.fetchall()
    number, revoked, stale = ([id for of, id in rows if of == kind] for kind in MARKS)
    return int(number[0]), revoked, stale


def end_blockers(seconds: float) -> list[str]:
    """Ends sessions of servers that keep others waiting for a lock while their client has sent
    nothing for so long: of a process that was stopped within a transaction. Returns the number of
    each at PostgreSQL, and the address of its client.

    On PostgreSQL alone."""
    with database.cursor() as cursor:
        cursor.execute(END_BLOCKERS, [SERVER_SESSION, seconds])
        return sorted({str(session) for session, _ in cursor.fetchall()})


# --- other servers, where there may be none -----------------------------------------------------


def alive() -> dict[str, Node]:
    """Nodes whose lease lasts, by id."""
    return {row.id: row for row in Node.objects.filter(lease_until__gt=Now())}


def other_server_problems() -> list[str]:
    """Empty, or a sentence that names another server of this SQLite file: clients of the one would
    not receive what those of the other publish, unless it is stored.

    Only a renewed lease proves that the other is alive: a crash leaves a row, too. So this waits
    where there is one, until it is renewed or has run out.
    """
    if settings.REDIS_URL or database.vendor == "postgresql":
        return []
    try:
        if before := alive():
            held_by, most = ", ".join(map(str, before.values())), settings.NODE_LEASE_SECONDS
            log.warning(
                "Waiting, up to %g s, until the lease of %s ends, or is renewed", most, held_by
            )
        while before:
            time.sleep(LOOK_SECONDS)
            now = alive()
            before = {id: row for id, row in before.items() if id in now}
            for id, row in before.items():
                if now[id].lease_until > row.lease_until:
                    return [
                        f"{row} serves from this database already: stop it. Two servers need"
                        " PostgreSQL in DATABASE_URL."
                    ]
        return []
    finally:
        database.close()

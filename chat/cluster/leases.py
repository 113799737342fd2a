"""What a process writes of itself, and of those that are no more: rows, and the lease that shows
the others it is alive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chat.store.operations import Operation
from chat.store.transaction import Transaction
from tokens.names import PRESENCE_PREFIX, is_presence

LEASE_SHARE: Final = 2 / 3  # of NODE_LEASE_SECONDS (design.md section 4, "Nodes")
OTHER_NODES: Final = "SELECT id FROM chat_node WHERE id <> ? AND"
TAKE_CONNECTIONS: Final = (
    "UPDATE chat_connection SET node_id = ? WHERE node_id IN ({}) RETURNING id"
)
SUBSCRIBED: Final = (
    "SELECT s.connection_id, c.name FROM chat_subscription s"
    " JOIN chat_channel c ON c.id = s.channel_id"
    " JOIN chat_connection o ON o.id = s.connection_id"
    " WHERE o.node_id = ? AND c.name LIKE ?"
)

Taken = dict[str, tuple[str, ...]]
"""Connections that were taken over, to be closed: id -> channels in which somebody is told."""


@dataclass(slots=True)
class RegisterNode(Operation[Taken]):
    """Writes this process's row, and takes over from `dead`: nodes known to have ended."""

    id: str
    host: str
    pid: int
    version: str
    lease_seconds: float
    dead: tuple[str, ...] = ()

    def apply(self, transaction: Transaction) -> Taken:
        now, until = transaction.moment(transaction.now), transaction.after(self.lease_seconds)
        transaction.execute(
            "INSERT INTO chat_node (id, host, pid, version, started_at, lease_until)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self.id, self.host, self.pid, self.version, now, until),
        )
        sql = f"{OTHER_NODES} id IN ({','.join('?' * len(self.dead))})"
        dead = _at_hand(transaction, sql, self.id, *self.dead) if self.dead else []
        return take_over(transaction, self.id, dead)


@dataclass(slots=True)
class TakeOver(Operation[Taken]):
    """Removes nodes whose lease has run out, each done by one process, and gives what is to be
    closed of them."""

    node_id: str

    def apply(self, transaction: Transaction) -> Taken:
        sql, now = f"{OTHER_NODES} lease_until <= ?", transaction.moment(transaction.now)
        return take_over(transaction, self.node_id, _at_hand(transaction, sql, self.node_id, now))


@dataclass(slots=True)
class RenewLease(Operation[bool]):
    """Tells whether there was a row to renew it in."""

    id: str
    lease_seconds: float

    def apply(self, transaction: Transaction) -> bool:
        renewed = transaction.execute(
            "UPDATE chat_node SET lease_until = ? WHERE id = ?",
            (transaction.after(self.lease_seconds), self.id),
        )
        return bool(renewed.rowcount)


@dataclass(slots=True)
class RemoveNode(Operation[None]):
    """Removes this process's row with what it held."""

    id: str

    def apply(self, transaction: Transaction) -> None:
        remove_node(transaction, self.id)


def remove_node(transaction: Transaction, id: str) -> None:
    transaction.execute(
        "DELETE FROM chat_subscription WHERE connection_id IN"
        " (SELECT id FROM chat_connection WHERE node_id = ?)",
        (id,),
    )
    transaction.execute("DELETE FROM chat_connection WHERE node_id = ?", (id,))
    transaction.execute("DELETE FROM chat_node WHERE id = ?", (id,))


def take_over(transaction: Transaction, node_id: str, gone: Sequence[str]) -> Taken:
    """The connections of nodes that are gone become `node_id`'s. Those whose end is told to nobody,
    since they are in no presence channel and no backend listens, are removed with no more ado."""
    if not gone:
        return {}
    marks = ",".join("?" * len(gone))
    rows: list[tuple[str]] = transaction.select(TAKE_CONNECTIONS.format(marks), [node_id, *gone])
    taken = {id for (id,) in rows}
    every = transaction.reporting
    told = {connection: list[str]() for connection in taken if every}
    names = "%" if every else f"{PRESENCE_PREFIX}%"
    subscribed: list[tuple[str, str]] = transaction.select(SUBSCRIBED, [node_id, names])
    for connection, channel in subscribed:
        if connection in taken and (every or is_presence(channel)):  # LIKE may take capitals, too
            told.setdefault(connection, []).append(channel)
    for connection in taken - told.keys():
        transaction.execute("DELETE FROM chat_subscription WHERE connection_id = ?", (connection,))
        transaction.execute("DELETE FROM chat_connection WHERE id = ?", (connection,))
    transaction.execute(f"DELETE FROM chat_node WHERE id IN ({marks})", gone)  # noqa: S608
    return {connection: tuple(channels) for connection, channels in told.items()}


def _at_hand(transaction: Transaction, sql: str, *parameters: Any) -> list[str]:
    """The nodes found that no other process takes over at this moment."""
    if transaction.postgresql:
        sql += " FOR UPDATE SKIP LOCKED"
    rows: list[tuple[str]] = transaction.select(sql, parameters)
    return [id for (id,) in rows]

"""What a process writes of itself: its row, and the lease that shows the others it is alive."""

from dataclasses import dataclass
from typing import Final

from .operations import Operation
from .transaction import Transaction

LEASE_SHARE: Final = 2 / 3  # of NODE_LEASE_SECONDS (design.md section 4, "Nodes")
NODES_GONE: Final = "SELECT id FROM chat_node WHERE lease_until <= ?"


@dataclass(slots=True)
class RegisterNode(Operation):
    """Writes this process's row. `dead` are nodes known to have ended: their rows go."""

    id: str
    host: str
    pid: int
    version: str
    lease_seconds: float
    dead: tuple[str, ...] = ()

    def apply(self, transaction: Transaction) -> None:
        now, until = transaction.moment(transaction.now), transaction.after(self.lease_seconds)
        expired = transaction.select(NODES_GONE, [now])
        for id in {*self.dead, *(row[0] for row in expired)}:
            remove_node(transaction, id)
        transaction.execute(
            "INSERT INTO chat_node (id, host, pid, version, started_at, lease_until)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self.id, self.host, self.pid, self.version, now, until),
        )


@dataclass(slots=True)
class RenewLease(Operation):
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
class RemoveNode(Operation):
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

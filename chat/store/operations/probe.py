"""Whether the database takes writes."""

from dataclasses import dataclass

from chat.store.transaction import NEW_CHANNEL, Operation, Transaction


@dataclass(slots=True)
class Probe(Operation[None]):
    """Writes a row that nobody else waits for, and removes it."""

    node_id: str

    def apply(self, transaction: Transaction) -> None:
        name = f"#probe.{self.node_id}"  # no channel's name
        transaction.execute(NEW_CHANNEL, (name, ""))
        transaction.execute("DELETE FROM chat_channel WHERE name = ?", (name,))

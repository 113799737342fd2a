"""Rows and querysets; no verbs. Every write of the running server goes through its writer."""

from .audit import AuditEntry
from .backend_events import BackendEvent
from .channels import Acknowledgement, Channel, Deduplication, Member, Schedule, StorageEntry
from .connections import Connection, Live, Node, Subscription
from .messages import Deletion, Message, Reaction
from .outbox import OutboxEntry
from .restrictions import Restriction

__all__ = [
    "Acknowledgement",
    "AuditEntry",
    "BackendEvent",
    "Channel",
    "Connection",
    "Deduplication",
    "Deletion",
    "Live",
    "Member",
    "Message",
    "Node",
    "OutboxEntry",
    "Reaction",
    "Restriction",
    "Schedule",
    "StorageEntry",
    "Subscription",
]

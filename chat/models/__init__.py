"""Rows and querysets; no verbs. Every write of the running server goes through its writer."""

from .backend_events import BackendEvent
from .channels import Channel
from .connections import Connection, Node, Subscription
from .deduplication import Deduplication
from .members import Member
from .messages import Message, Reaction
from .schedules import Schedule
from .storage import StorageEntry

__all__ = [
    "BackendEvent",
    "Channel",
    "Connection",
    "Deduplication",
    "Member",
    "Message",
    "Node",
    "Reaction",
    "Schedule",
    "StorageEntry",
    "Subscription",
]

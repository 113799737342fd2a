"""What is stored, to look at; messages and storage entries can be deleted, connections closed,
schedules cancelled and backend events delivered again, nothing else."""

from . import (
    backend_events,
    channels,
    connections,
    members,
    messages,
    nodes,
    reactions,
    schedules,
    storage,
    subscriptions,
)

__all__ = [
    "backend_events",
    "channels",
    "connections",
    "members",
    "messages",
    "nodes",
    "reactions",
    "schedules",
    "storage",
    "subscriptions",
]

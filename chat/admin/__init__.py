"""What is stored, to look at; messages can be deleted, connections closed and backend events
delivered again, nothing else."""

from . import backend_events, channels, connections, messages, nodes, reactions, subscriptions

__all__ = [
    "backend_events",
    "channels",
    "connections",
    "messages",
    "nodes",
    "reactions",
    "subscriptions",
]

"""What is stored, to look at; messages can be deleted and connections closed, nothing else."""

from . import channels, connections, messages, nodes, reactions, subscriptions

__all__ = ["channels", "connections", "messages", "nodes", "reactions", "subscriptions"]

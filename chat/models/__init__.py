"""Rows and querysets; no verbs. Every write of the running server goes through its writer."""

from .channels import Channel
from .connections import Connection, Node, Subscription
from .messages import Message, Reaction

__all__ = ["Channel", "Connection", "Message", "Node", "Reaction", "Subscription"]

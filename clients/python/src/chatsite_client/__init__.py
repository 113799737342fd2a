"""For programs beside a chatsite server (docs/python-client.md)."""

from .calls import ChannelInfo, Entry, Options, Receipt
from .client import AsyncClient, Client
from .errors import ChatError, Refused, Unreachable
from .follow import Follow, Position
from .messages import Deletion, Event, Message, Reaction
from .tokens import SigningKey, issue_token
from .webhooks import BackendEvent, Webhook, WebhookError

__all__ = [
    "AsyncClient",
    "BackendEvent",
    "ChannelInfo",
    "ChatError",
    "Client",
    "Deletion",
    "Entry",
    "Event",
    "Follow",
    "Message",
    "Options",
    "Position",
    "Reaction",
    "Receipt",
    "Refused",
    "SigningKey",
    "Unreachable",
    "Webhook",
    "WebhookError",
    "issue_token",
]

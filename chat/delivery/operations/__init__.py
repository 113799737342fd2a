"""What a write can be; one module a noun. All go through the writer, many in one transaction."""

from .base import FOR_EVER, Operation
from .connections import CloseConnection, OpenConnection, SingleUse, Subscribe, Unsubscribe
from .messages import SetReaction, StoreMessage, message_not_found

__all__ = [
    "FOR_EVER",
    "CloseConnection",
    "OpenConnection",
    "Operation",
    "SetReaction",
    "SingleUse",
    "StoreMessage",
    "Subscribe",
    "Unsubscribe",
    "message_not_found",
]

"""What a write can be; one module a noun. All go through the writer, many in one transaction."""

from .base import FOR_EVER, Operation
from .connections import CloseConnection, OpenConnection, SingleUse, Subscribe, Unsubscribe
from .deduplication import PublishOnce
from .messages import SetReaction, StoreMessage, message_not_found
from .passing import PassOn
from .presence import ReadAgain, UpdateUmd
from .schedules import AddSchedule, CancelSchedule, RunSchedule
from .storage import SetStorage

__all__ = [
    "FOR_EVER",
    "AddSchedule",
    "CancelSchedule",
    "CloseConnection",
    "OpenConnection",
    "Operation",
    "PassOn",
    "PublishOnce",
    "ReadAgain",
    "RunSchedule",
    "SetReaction",
    "SetStorage",
    "SingleUse",
    "StoreMessage",
    "Subscribe",
    "Unsubscribe",
    "UpdateUmd",
    "message_not_found",
]

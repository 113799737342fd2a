"""What a write can be; one module a noun. All go through the writer, many in one transaction."""

from chat.store.operations.base import FOR_EVER, Operation
from chat.store.operations.connections import (
    CloseConnection,
    OpenConnection,
    ReadAgain,
    SingleUse,
    Subscribe,
    Unsubscribe,
    UpdateUmd,
)
from chat.store.operations.deduplication import PublishOnce
from chat.store.operations.messages import PublishMessage, SetReaction, message_not_found
from chat.store.operations.schedules import AddSchedule, CancelSchedule, RunSchedule
from chat.store.operations.storage import ReportExpiries, SetStorage

__all__ = [
    "FOR_EVER",
    "AddSchedule",
    "CancelSchedule",
    "CloseConnection",
    "OpenConnection",
    "Operation",
    "PublishMessage",
    "PublishOnce",
    "ReadAgain",
    "ReportExpiries",
    "RunSchedule",
    "SetReaction",
    "SetStorage",
    "SingleUse",
    "Subscribe",
    "Unsubscribe",
    "UpdateUmd",
    "message_not_found",
]

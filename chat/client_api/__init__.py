"""What each operation of the client HTTP API reads, does and answers: the table OPERATIONS
(protocol.md section 14)."""

from .answers import Answer, Operation
from .history import messages, reactions
from .publishing import publish_message

__all__ = ["OPERATIONS", "Answer", "Operation"]

OPERATIONS: dict[str, Operation] = {
    "listMessages": messages,
    "listReactions": reactions,
    "publishMessage": publish_message,
}

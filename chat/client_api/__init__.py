"""What each operation of the client HTTP API reads, does and answers: the table OPERATIONS
(protocol.md section 14)."""

from . import storage
from .answers import Answer, Operation
from .channels import channel_info
from .history import messages, reactions
from .metadata import umd_update
from .publishing import publish_message

__all__ = ["OPERATIONS", "Answer", "Operation"]

OPERATIONS: dict[str, Operation] = {
    "channelStorageGet": storage.get_entry,
    "channelStorageList": storage.entries,
    "channelStorageSet": storage.set_entry,
    "getChannelInfo": channel_info,
    "listMessages": messages,
    "listReactions": reactions,
    "publishMessage": publish_message,
    "umdUpdate": umd_update,
}

"""What each operation of the client HTTP API reads, does and answers: the table OPERATIONS
(protocol.md section 14)."""

from chat.http.client_api import storage
from chat.http.client_api.answers import Answer, Operation
from chat.http.client_api.channels import channel_info
from chat.http.client_api.history import messages, reactions
from chat.http.client_api.metadata import umd_update
from chat.http.client_api.publishing import publish_message

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

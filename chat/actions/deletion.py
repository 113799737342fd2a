"""Deleting stored messages (protocol.md section 19)."""

from chat.protocol import commands
from chat.protocol.publication import Source
from chat.store.operations.audit import Actor
from chat.store.operations.messages import DeleteMessage, message_not_found
from chat.store.writer import Writer


async def delete_message(
    writer: Writer, channel: str, message_id: str, source: Source, actor: Actor
) -> None:
    """Deletes a message with its reactions, and notifies who subscribes.

    Raises ProtocolError: INVALID_CHANNEL_NAME, MESSAGE_NOT_FOUND, SERVICE_UNAVAILABLE.
    """
    await writer.submit(deletion_of(channel, message_id, source, actor))


def deletion_of(channel: str, message_id: str, source: Source, actor: Actor) -> DeleteMessage:
    """What is to be committed and announced."""
    commands.valid_channel(channel)
    if not commands.MESSAGE_ID.fullmatch(message_id):  # PostgreSQL cannot be asked for every text
        raise message_not_found()
    return DeleteMessage(channel, message_id, source, actor)

"""What the server itself publishes: one verb for every door of its side (protocol.md section 15).

No claims are checked, and what is published has no sender: all who subscribe get it.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from chat.delivery.operations import (
    Operation,
    PassOn,
    PublishOnce,
    SetReaction,
    SetStorage,
    StoreMessage,
)
from chat.node import Node
from chat.protocol import commands, events
from chat.protocol.publication import Publication, Receipt

NOBODY: Final = (None, "null", None)  # uid, umd and meta of what the server publishes


async def publish(node: Node, publication: Publication) -> Receipt:
    """Does what is asked, and gives the id of a message whether that was asked for or not.

    Raises ProtocolError: MESSAGE_NOT_FOUND, INVALID_SCHEDULE_EXPRESSION, SERVICE_UNAVAILABLE.
    """
    operation = operation_of(publication)
    receipt = pass_on(operation)
    if receipt is None:
        committed: Receipt = await node.writer.submit(operation)
        return committed
    for item in operation.announced:
        node.hub.announce(item)
    return receipt


def operation_of(publication: Publication) -> PublishOnce:
    """What is to be committed and announced; its outcome is the receipt."""
    command = publication.command
    what, gives = OPERATIONS[type(command)](publication, command)
    receipt = Receipt(command.channel, publication.event)
    return PublishOnce(what, receipt, gives, publication.deduplication_id)


def pass_on(operation: PublishOnce) -> Receipt | None:
    """The receipt of what goes past the database, and is ready to be announced; None: it must be
    committed first."""
    if operation.key or not isinstance(operation.what, PassOn):
        return None
    return operation.given(operation.what.made(int(time.time() * 1000)))


def _message(publication: Publication, command: commands.Publish) -> tuple[Operation, str]:
    channel, event, data = command.channel, command.event, command.data
    if not publication.store:
        return PassOn(channel, event, data), "id"
    return StoreMessage(channel, event, data, *NOBODY, publication.store), "id"


def _entry(publication: Publication, command: commands.SetStorage) -> tuple[Operation, None]:
    return SetStorage(command.channel, command.key, command.data, *NOBODY, publication.store), None


def _reaction(publication: Publication, command: commands.React) -> tuple[Operation, None]:
    who = publication.uid, publication.umd
    return SetReaction(
        *(command.channel, command.message_id, *who, events.meta(*who)),
        *(command.reaction, command.action),
    ), None


OPERATIONS: Final[dict[type, Callable[[Publication, Any], tuple[Operation, str | None]]]] = {
    commands.Publish: _message,
    commands.SetStorage: _entry,
    commands.React: _reaction,
}

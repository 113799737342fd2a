"""What the server itself publishes: one verb for every door of its side (protocol.md section 15).

No claims are checked, and what is published has no sender: all who subscribe get it.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from chat.protocol import commands, events
from chat.protocol.publication import Publication, Receipt
from chat.protocol.sources import Source
from chat.runtime.node import Node
from chat.store.listeners import listening
from chat.store.operations import (
    AddSchedule,
    Operation,
    PublishMessage,
    PublishOnce,
    SetReaction,
    SetStorage,
)

NOBODY: Final[tuple[None, str, None]] = (None, "null", None)  # uid, umd, meta: the server's


async def publish(node: Node, publication: Publication, source: Source) -> Receipt:
    """Does what is asked, and gives the id of a message whether that was asked for or not.

    Raises ProtocolError: MESSAGE_NOT_FOUND, INVALID_SCHEDULE_EXPRESSION, SERVICE_UNAVAILABLE.
    """
    operation = operation_of(publication, source)
    receipt = pass_on(operation)
    if receipt is None:
        return await node.writer.submit(operation)
    for item in operation.announced:
        node.hub.announce(item)
    return receipt


def operation_of(publication: Publication, source: Source) -> PublishOnce:
    """What is to be committed and announced; its outcome is the receipt."""
    command = publication.command
    reported = source if publication.emits else None
    what, gives = OPERATIONS[type(command)](publication, command, reported)
    receipt = Receipt(command.channel, publication.event)
    return PublishOnce(what, receipt, gives, publication.deduplication_id)


def is_passing(operation: PublishOnce) -> bool:
    """Whether it is a message that is not stored, for those who listen at this moment."""
    return isinstance(operation.what, PublishMessage) and not operation.what.store


def pass_on(operation: PublishOnce) -> Receipt | None:
    """The receipt of what goes past the database, and is ready to be announced; None: it must be
    committed first."""
    what = operation.what
    if not isinstance(what, PublishMessage) or what.store or operation.key or what.source:
        return None
    id = what.announce(int(time.time() * 1000))
    operation.announced = what.announced
    return operation.receipt_for(id)


# --- what each command is -----------------------------------------------------------------------


Asked = tuple[Operation[object], str | None]
"""An operation, and the receipt's field for what it gives."""


def _message(publication: Publication, command: commands.Publish, source: Source | None) -> Asked:
    channel, event, data = command.channel, command.event, command.data
    message = PublishMessage(channel, event, data, *NOBODY, publication.store, source=source)
    if command.at is not None:
        return AddSchedule(command.at, message), "schedule_arn"
    if not (publication.store or listening()):
        message.source = None  # it need not be committed
    return message, "id"


def _entry(publication: Publication, command: commands.SetStorage, source: Source | None) -> Asked:
    channel, key, data = command.channel, command.key, command.data
    entry = SetStorage(channel, key, data, *NOBODY, publication.store, source)
    if command.at is not None:
        return AddSchedule(command.at, entry), "schedule_arn"
    return entry, None


def _reaction(publication: Publication, command: commands.React, source: Source | None) -> Asked:
    who = publication.uid, publication.umd
    return SetReaction(
        *(command.channel, command.message_id, *who, events.meta(*who)),
        *(command.reaction, command.action),
        source=source,
    ), None


OPERATIONS: Final[dict[type, Callable[[Publication, Any, Source | None], Asked]]] = {
    commands.Publish: _message,
    commands.SetStorage: _entry,
    commands.React: _reaction,
}

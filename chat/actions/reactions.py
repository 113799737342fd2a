"""Reacting to stored messages (protocol.md section 9)."""

from typing import Final

from chat.actions.publishing import carry_out
from chat.actions.queries import event_of
from chat.protocol.commands import React
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Receipt
from chat.protocol.session import Session, Subscription
from chat.store.operations.acknowledgement import Refuse
from chat.store.operations.messages import SetReaction, message_not_found
from chat.store.reads import read
from chat.store.writer import Writer

REACTION: Final = "hotsock.messageReaction"
MAX_KNOWN: Final = 10_000

_events: Final[dict[tuple[str, str], str]] = {}
"""Channel and message id -> the message's event, of MAX_KNOWN messages: it never changes."""


async def react(writer: Writer, session: Session, command: React) -> Receipt:
    """Adds or removes a reaction; one that changes nothing is not announced.

    Raises ProtocolError: NOT_SUBSCRIBED, REACT_PERMISSION_DENIED, MESSAGE_NOT_FOUND,
    INVALID_MESSAGE (the ack is another's), SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(command.channel)
    uid = subscription.reacting_uid()
    session.writer(subscription.channel, ErrorCode.REACT_PERMISSION_DENIED)
    operation: SetReaction | Refuse
    try:
        event = await _permitted_event(subscription, command)
    except ProtocolError as refusal:
        # The message has gone; a repeat is acknowledged as the first was (section 19).
        if command.ack is None or refusal.code is not ErrorCode.MESSAGE_NOT_FOUND:
            raise
        operation = Refuse(subscription.channel, refusal)
    else:
        operation = _operation(session, subscription, command, uid, event)
    return await carry_out(writer, session, uid, operation, REACTION, command.ack)


def _operation(
    session: Session, subscription: Subscription, command: React, uid: str, event: str
) -> SetReaction:
    return SetReaction(
        channel=subscription.channel,
        message_id=command.message_id,
        uid=uid,
        umd=subscription.umd,
        meta=subscription.meta,
        reaction=command.reaction,
        action=command.action,
        origin=session.connection_id,
        echo=subscription.rights(REACTION).echo,
        source=session.source if subscription.rights(event).emit_pubsub_event else None,
    )


async def _permitted_event(subscription: Subscription, command: React) -> str:
    """The event of the message, on which this reaction is allowed. Whether the message still lives
    is found where the reaction is stored.

    Of a message that it may not read nobody learns whether there is one.
    """
    if not subscription.may_read(command.message_id):
        raise message_not_found()
    message = subscription.channel, command.message_id
    event = _events.get(message)
    if event is None or not subscription.may_react(event, command.reaction):
        event = await read(event_of, *message)
        if not subscription.may_react(event, command.reaction):
            raise ProtocolError(
                ErrorCode.REACT_PERMISSION_DENIED,
                "You may not put this reaction on this message.",
            )
        if len(_events) >= MAX_KNOWN:
            del _events[next(iter(_events))]
        _events[message] = event
    return event

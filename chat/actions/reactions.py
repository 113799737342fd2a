"""Reacting to stored messages (protocol.md section 9)."""

from typing import Final

from chat.actions.history import Given
from chat.models import Message, Reaction
from chat.protocol.commands import React
from chat.protocol.session import Session, Subscription, needs_uid, window_start
from chat.store.operations.messages import SetReaction, message_not_found
from chat.store.reads import read
from chat.store.writer import Writer

MAX_KNOWN: Final = 10_000

_events: Final[dict[tuple[str, str], str]] = {}
"""Channel and message id -> the message's event, of MAX_KNOWN messages: it never changes."""


async def react(writer: Writer, session: Session, command: React) -> None:
    """Adds or removes a reaction; one that changes nothing is told to nobody.

    Raises ProtocolError: NOT_SUBSCRIBED, REACT_PERMISSION_DENIED, MESSAGE_NOT_FOUND,
    SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(command.channel)
    uid = needs_uid(subscription)
    event = await _permitted_event(session, subscription, command)
    operation = SetReaction(
        channel=subscription.channel,
        message_id=command.message_id,
        uid=uid,
        umd=subscription.umd,
        meta=subscription.meta,
        reaction=command.reaction,
        action=command.action,
        origin=session.connection_id,
        echo=session.echoes_reactions(subscription),
        source=session.source if session.reports_reactions(subscription, event) else None,
    )
    await writer.submit(operation)
    if operation.change is not None:
        session.remember(subscription.channel, operation.change.number)


async def _permitted_event(session: Session, subscription: Subscription, command: React) -> str:
    """The event of the message, on which this reaction is allowed. Whether the message still lives
    is found where the reaction is stored."""
    message = subscription.channel, command.message_id
    event = _events.get(message)
    if event is None or not session.allows_reaction(subscription, event, command.reaction):
        event = await read(_event_of, *message)
        session.may_react(subscription, event, command.reaction)
        if len(_events) >= MAX_KNOWN:
            del _events[next(iter(_events))]
        _events[message] = event
    return event


def _event_of(channel: str, message_id: str, after: str = "") -> str:
    """The event of a live message of this channel; raises MESSAGE_NOT_FOUND."""
    live = Message.objects.live().after(after)
    found = live.filter(id=message_id, channel__name=channel).values_list("event", flat=True)
    event = found.first()
    if event is None:
        raise message_not_found()
    return event


async def list_reactions(session: Session, channel: str, message_id: str) -> list[Given]:
    """The reactions to one message inside the caller's history window, oldest first.

    Raises ProtocolError: NOT_SUBSCRIBED, MESSAGE_NOT_FOUND, SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(channel)
    return await read(_reactions_to, subscription.channel, message_id, window_start(subscription))


def _reactions_to(channel: str, message_id: str, after: str) -> list[Given]:
    _event_of(channel, message_id, after)
    standing = Reaction.objects.standing().filter(message_id=message_id).order_by("number")
    return [Given(*row) for row in standing.values_list(*Given._fields)]

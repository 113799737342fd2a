"""Publishing: one verb for every door (protocol.md section 8)."""

import logging
import time
from dataclasses import dataclass

from chat.delivery.changes import Passing
from chat.delivery.operations import StoreMessage
from chat.delivery.operations.messages import ReportMessage
from chat.delivery.receivers import listening
from chat.node import Node
from chat.protocol import events, ids
from chat.protocol.commands import Publish
from chat.protocol.errors import ProtocolError
from chat.protocol.session import Sender, Session
from tokens.permissions import MessageRights

from .schedules import add_schedule

log = logging.getLogger("chat.messages")


@dataclass(slots=True, frozen=True)
class Published:
    """The real name of the channel, the event and the message's id or, where it is to be published
    later, its schedule's name."""

    channel: str
    event: str
    id: str | None = None
    schedule: str | None = None


async def publish(node: Node, session: Session, command: Publish) -> Published:
    """Publishes what `session` may publish; a stored message is committed before anyone sees it.

    Raises ProtocolError: NOT_SUBSCRIBED, PUBLISH_PERMISSION_DENIED, SERVICE_UNAVAILABLE; for a
    later time also SCHEDULE_PERMISSION_DENIED, INVALID_SCHEDULE_EXPRESSION.
    """
    published = publish_at_once(node, session, command)
    return await publish_in_time(node, session, command) if published is None else published


def publish_at_once(node: Node, session: Session, command: Publish) -> Published | None:
    """`publish`, for what needs no database; gives None, and has done nothing, for what does."""
    channel = session.real_name(command.channel)
    rights, sender = session.may_publish(channel, command.event)
    reports = rights.emit_pubsub_event and listening()
    if rights.store or reports or command.at is not None:
        return None
    return Published(
        channel, command.event, _pass_on(node, session, channel, command, rights, sender)
    )


async def publish_in_time(node: Node, session: Session, command: Publish) -> Published:
    """`publish`, for what is stored, reported or due later."""
    channel = session.real_name(command.channel)
    rights, sender = session.may_publish(channel, command.event)
    if command.at is not None:
        message = _message(session, channel, command, rights, sender)
        arn = await add_schedule(node, command.at, message, rights)
        return Published(channel, command.event, schedule=arn)
    if rights.store:
        id = await _store(node, session, channel, command, rights, sender)
    else:
        id = _pass_on(node, session, channel, command, rights, sender)
        await _report(node, _report_of(session, channel, id, command, sender))
    return Published(channel, command.event, id)


async def _store(
    node: Node,
    session: Session,
    channel: str,
    command: Publish,
    rights: MessageRights,
    sender: Sender,
) -> str:
    operation = _message(session, channel, command, rights, sender)
    id: str = await node.writer.submit(operation)
    if operation.change is not None:
        session.remember(channel, operation.change.number)
    return id


def _message(
    session: Session, channel: str, command: Publish, rights: MessageRights, sender: Sender
) -> StoreMessage:
    return StoreMessage(
        channel=channel,
        event=command.event,
        data=command.data,
        uid=sender.uid,
        umd=sender.umd,
        meta=sender.meta,
        store=rights.store,
        origin=session.connection_id,
        echo=rights.echo,
        source=session.source if rights.emit_pubsub_event else None,
    )


def _pass_on(
    node: Node,
    session: Session,
    channel: str,
    command: Publish,
    rights: MessageRights,
    sender: Sender,
) -> str:
    id = ids.new_id(int(time.time() * 1000))
    event = events.message(id, command.event, channel, command.data, sender.meta)
    follows = session.last_number(channel)
    node.hub.announce(Passing(channel, follows, event, session.connection_id, rights.echo))
    return id


def _report_of(
    session: Session, channel: str, id: str, command: Publish, sender: Sender
) -> ReportMessage:
    return ReportMessage(channel, command.event, id, command.data, sender.meta, session.source)


async def _report(node: Node, report: ReportMessage) -> None:
    """The message is out: where its event is lost, its sender must not send it again."""
    try:
        await node.writer.submit(report)
    except ProtocolError as error:
        log.error("That %s was published is reported to nobody: %s", report.id, error.message)

"""Publishing: one verb for every door (protocol.md section 8)."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from chat.fanout.announcements import Ephemeral
from chat.protocol import ids
from chat.protocol.commands import Publish
from chat.protocol.errors import ProtocolError
from chat.protocol.session import Session
from chat.protocol.subscription import Route
from chat.runtime.node import Node
from chat.store.listeners import listening
from chat.store.operations import PublishMessage

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
    route = session.route(command.channel, command.event)
    if command.at is not None or not _passes(route):
        return None
    return Published(route.channel, route.event, pass_on(node, session, route, command.data))


async def publish_in_time(node: Node, session: Session, command: Publish) -> Published:
    """`publish`, for what is stored, reported or due later."""
    route = session.route(command.channel, command.event)
    if command.at is not None:
        message = _message(session, route, command.data)
        arn = await add_schedule(node, command.at, message, route.rights)
        return Published(route.channel, route.event, schedule=arn)
    if route.rights.store:
        id = await _store(node, session, _message(session, route, command.data))
    else:
        id = pass_on(node, session, route, command.data)
        report = _message(session, route, command.data)
        report.id = id
        await _report(node, report)
    return Published(route.channel, route.event, id)


def _passes(route: Route) -> bool:
    """Whether there is nothing to be awaited."""
    return route.passes or not (route.rights.store or listening())


def pass_on(node: Node, session: Session, route: Route, data: bytes) -> str:
    """Tells those who listen now, at once; gives the message's id."""
    id = ids.new_id(int(time.time() * 1000))
    event = route.template.message(id, data, route.sender.meta)
    channel = route.channel
    follows = session.last_numbers.get(channel, 0)
    node.hub.announce(Ephemeral(channel, follows, event, session.connection_id, route.rights.echo))
    return id


def put_stored(
    node: Node,
    session: Session,
    route: Route,
    data: bytes,
    on_done: Callable[[PublishMessage, str | ProtocolError], object],
) -> None:
    """Stores one of several in a row. Raises SERVICE_UNAVAILABLE."""
    message = _message(session, route, data)
    node.writer.put(message, partial(on_done, message))


async def _store(node: Node, session: Session, operation: PublishMessage) -> str:
    id = await node.writer.submit(operation)
    remember(session, operation)
    return id


def remember(session: Session, operation: PublishMessage) -> None:
    """What it published later stays behind this (promise P4)."""
    if operation.change is not None:
        session.remember(operation.channel, operation.change.number)


def _message(session: Session, route: Route, data: bytes) -> PublishMessage:
    sender, rights = route.sender, route.rights
    return PublishMessage(
        *(route.channel, route.event, data, sender.uid, sender.umd, sender.meta),
        *(rights.store, session.connection_id, rights.echo),
        session.source if rights.emit_pubsub_event else None,
    )


async def _report(node: Node, report: PublishMessage) -> None:
    """The message is out: where its event is lost, its sender must not send it again."""
    try:
        await node.writer.submit(report)
    except ProtocolError as error:
        log.error("That %s was published is reported to nobody: %s", report.id, error.message)

"""Publishing: the one verb for every way in, and the only place that decides whether a publication
is ephemeral, stored, scheduled or deduplicated (protocol.md sections 8, 13 and 15).

A message that is stored is committed before anyone sees it; one that is not is broadcast at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from chat.counts import SAMPLE, counts
from chat.fanout.announcements import Change, Ephemeral
from chat.fanout.hub import Hub
from chat.protocol import commands, events, ids, schedule
from chat.protocol.commands import MESSAGE_ID
from chat.protocol.errors import ProtocolError
from chat.protocol.frames import Ack
from chat.protocol.publication import Acknowledged, Publication, Receipt, Source
from chat.protocol.session import Route, Session
from chat.store import outbox
from chat.store.operations.acknowledgement import DoOnce, Refuse, sender_of
from chat.store.operations.deduplication import PublishOnce
from chat.store.operations.messages import PublishMessage, SetReaction
from chat.store.operations.storage import SetStorage
from chat.store.operations.work import AddSchedule, CancelSchedule
from chat.store.quotas import Quotas
from chat.store.reports import listening
from chat.store.transaction import Operation
from chat.store.usage import Quota, stored_bytes
from chat.store.writer import Writer

log = logging.getLogger("chat.publishing")

Work = PublishMessage | SetStorage | SetReaction | Refuse | AddSchedule
"""What a client asks for: on one channel."""
Stored = PublishMessage | DoOnce


# --- by a client --------------------------------------------------------------------------------


def route_to(session: Session, channel: str, event: str) -> Route:
    """Where a client's messages of an event go, by the name that it uses for the channel. Kept by
    the session, with the decision where it is always the same.

    Raises ProtocolError: NOT_SUBSCRIBED, PUBLISH_PERMISSION_DENIED.
    """
    route = session.route(channel, event)
    route.is_stored = route.rights.store != 0
    route.is_ephemeral = not (route.is_stored or route.rights.emit_pubsub_event)
    return route


async def publish(
    hub: Hub,
    writer: Writer,
    session: Session,
    route: Route,
    data: bytes,
    at: datetime | None,
    ack: Ack | None = None,
) -> Receipt:
    """Publishes a client's message, now or `at` a moment.

    Raises ProtocolError: SERVICE_UNAVAILABLE, SCHEDULE_PERMISSION_DENIED,
    INVALID_SCHEDULE_EXPRESSION (the moment has passed), INVALID_MESSAGE (the ack is another's),
    RATE_LIMITED (a quota).
    """
    rights, uid = route.rights, route.sender.uid
    if at is not None:
        schedule.permit(at, rights.schedule_before)
        counts.scheduled += 1
        later = AddSchedule(at, _message(session, route, data))
        return await carry_out(writer, session, uid, later, route.event, ack)
    if rights.store:
        counts.stored += 1
        message = _message(session, route, data)
        return await carry_out(writer, session, uid, message, route.event, ack)
    id = broadcast(hub, session, route, [data])
    if rights.emit_pubsub_event and listening():
        message = _message(session, route, data)
        message.id = id
        await _report(writer, message)
    if ack is None:
        return Receipt(route.channel, route.event, id)
    return Acknowledged(route.channel, route.event, id, ack=ack.name)


async def carry_out(
    writer: Writer,
    session: Session,
    uid: str | None,
    operation: Work,
    event: str,
    ack: Ack | None,
) -> Receipt:
    """Commits what a client asks for, as this `uid`'s; where it has an ack, once. Ephemeral
    messages of the session then stay behind it (promise P4). Raises ProtocolError."""
    _charge(writer.quotas, uid, operation, ack)
    if ack is not None:
        done = await writer.submit(once(session, uid, operation, event, ack))
        session.follow(done.channel, done.position or 0)
        return done
    result, [channel] = await writer.submit(operation), operation.locks()
    if isinstance(operation, AddSchedule):
        return Receipt(channel, event, schedule_arn=result)
    remember(session, operation.change)
    return Receipt(channel, event, result)


def _charge(quotas: Quotas, uid: str | None, operation: Work, ack: Ack | None) -> None:
    """Raises RATE_LIMITED where the uid would hold too much, or lets the commit do so."""
    match operation:
        case PublishMessage(data=data, umd=umd):
            quotas.take(uid, Quota.STORED_BYTES, stored_bytes(data, umd))
        case SetStorage(data=bytes(data), umd=umd):
            operation.limit = quotas.limit(uid, Quota.STORAGE_KEYS)
            quotas.take(uid, Quota.STORED_BYTES, stored_bytes(data, umd))
        case AddSchedule():
            operation.limit = quotas.limit(uid, Quota.SCHEDULES)
    if ack is not None:
        quotas.take(uid, Quota.ACKS)


def once(session: Session, uid: str | None, operation: Work, event: str, ack: Ack) -> DoOnce:
    connection_id, [channel] = session.connection_id, operation.locks()
    receipt = Acknowledged(channel, event, ack=ack.name)
    return DoOnce(operation, receipt, ack.digest, sender_of(uid, connection_id), connection_id)


def broadcast(hub: Hub, session: Session, route: Route, messages: list[bytes]) -> str:
    """Sends ephemeral messages, one after another, to those who subscribe now; gives the last
    one's id. `messages` are their data."""
    counts.ephemeral += (number := len(messages))
    if counts.ephemeral % SAMPLE < number:
        _time()
    ms, meta, frame = int(time.time() * 1000), route.sender.meta, route.template.frame
    frames = []
    for data in messages:
        id = ids.new_id(ms)
        frames.append(frame(id, data, meta))
    previous = session.last_numbers.get(route.channel, 0)
    hub.announce(
        Ephemeral(route.channel, previous, frames, session.connection_id, route.rights.echo)
    )
    return id


def _time() -> None:
    """From now until the last socket has it: the flusher writes in this turn or the next one."""
    later = asyncio.get_running_loop().call_soon
    later(later, counts.ephemeral_seconds.since, time.monotonic())


def store[About](
    writer: Writer,
    session: Session,
    route: Route,
    data: bytes,
    on_done: Callable[[About, Stored, str | Acknowledged | ProtocolError], object],
    about: About,
    ack: Ack | None,
) -> None:
    """Stores one of several messages that follow each other without waiting for the commit;
    `on_done` is called with `about`, the operation and its outcome. Raises SERVICE_UNAVAILABLE,
    RATE_LIMITED (a quota)."""
    message: Any = _message(session, route, data)
    uid, quotas = message.uid, writer.quotas
    quotas.take(uid, Quota.STORED_BYTES, stored_bytes(data, message.umd))
    counts.stored += 1
    if ack is not None:
        quotas.take(uid, Quota.ACKS)
        message = once(session, uid, message, route.event, ack)
    writer.put(message, partial(on_done, about, message))


def remember(session: Session, change: Change | None) -> None:
    """Ephemeral messages that the session publishes from now on stay behind its `change` (P4)."""
    if change is not None:
        session.follow(change.channel, change.number)


def _message(session: Session, route: Route, data: bytes) -> PublishMessage:
    sender, rights = route.sender, route.rights
    return PublishMessage(
        *(route.channel, route.event, data, sender.uid, sender.umd, sender.meta),
        *(rights.store, session.connection_id, rights.echo),
        session.source if rights.emit_pubsub_event else None,
    )


async def _report(writer: Writer, message: PublishMessage) -> None:
    """The message is out: where its backend event is lost, its sender must not send it again."""
    try:
        await writer.submit(message)
    except ProtocolError as error:
        log.error("The backend event of message %s is lost: %s", message.id, error.in_full)


# --- by the server ------------------------------------------------------------------------------

SERVER: Final[tuple[None, str, None]] = (None, "null", None)
"""uid, umd and meta of what the server itself publishes: all who subscribe get it."""


async def publish_as_server(
    hub: Hub, writer: Writer, publication: Publication, source: Source
) -> Receipt:
    """Does what is asked; no claims are checked. The receipt has a message's id.

    Raises ProtocolError: MESSAGE_NOT_FOUND, INVALID_SCHEDULE_EXPRESSION, SERVICE_UNAVAILABLE.
    """
    operation = operation_of(publication, source)
    receipt = without_commit(operation)
    if receipt is None:
        return await writer.submit(operation)
    for announcement in operation.announced:
        hub.announce(announcement)
    return receipt


def operation_of(publication: Publication, source: Source) -> PublishOnce:
    """What is to be committed and announced; its result is the receipt."""
    receipt = Receipt(publication.command.channel, publication.event)
    what, gives = _planned(publication, source if publication.emits else None)
    return PublishOnce(what, receipt, gives, publication.deduplication_id)


def _planned(
    publication: Publication, source: Source | None
) -> tuple[Operation[object], str | None]:
    """The operation, and the receipt's field for its result."""
    work: PublishMessage | SetStorage
    gives: str | None = None
    match publication.command:
        case commands.Publish(channel, event, data, at):
            work, gives = PublishMessage(channel, event, data, *SERVER, publication.store), "id"
            if at is not None or work.store or listening():
                work.source = source  # else no backend event is committed
        case commands.SetStorage(channel, key, value, at):
            work = SetStorage(channel, key, value, *SERVER, publication.store, source)
        case commands.React(channel, message_id, reaction, action):
            who = publication.uid, publication.umd
            place = channel, message_id, *who, events.meta(*who)
            return SetReaction(*place, reaction, action, source=source), None
    return (work, gives) if at is None else (AddSchedule(at, work), "schedule_arn")


def is_ephemeral(operation: PublishOnce) -> bool:
    """Whether it is for those alone who subscribe at this moment."""
    return isinstance(operation.what, PublishMessage) and not operation.what.store


def without_commit(operation: PublishOnce) -> Receipt | None:
    """The receipt of what needs no commit, and can be announced; None: it must be committed."""
    what = operation.what
    if not isinstance(what, PublishMessage) or what.store or operation.key or what.source:
        return None
    if outbox.follows(what.channel):
        return None
    id = what.announce(int(time.time() * 1000))
    operation.announced = what.announced
    return operation.receipt_for(id)


async def cancel_schedule(writer: Writer, arn: str) -> bool:
    """Whether there was such a schedule, which will not be done now. Raises SERVICE_UNAVAILABLE."""
    if not MESSAGE_ID.fullmatch(arn):  # PostgreSQL cannot even be asked for every text
        return False
    return await writer.submit(CancelSchedule(arn))

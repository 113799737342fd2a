"""Publishing from Python: from a Django view, a task or a shell, in any process (docs/python.md).

What is published is checked as if it had come over HTTP. Inside of `transaction.atomic` it is part
of that transaction, and announced only if it commits: on SQLite it is written there at once, on
PostgreSQL a server writes it after the commit (`chat/store/outbox.py`).

Every function raises ProtocolError, with a `code` of protocol.md section 17 and a `message` in
words; where it does, nothing is done, unless the message is OUTCOME_UNKNOWN.
"""

import asyncio
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypedDict, Unpack

import msgspec
from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error
from django.utils.asyncio import async_unsafe
from msgspec import structs

from chat.actions import publishing, queries
from chat.actions.deletion import Deleting, MessageSelection, deletion_of, valid_message
from chat.actions.erasure import Erasure
from chat.actions.restrictions import count_revoked, marking, selected
from chat.actions.storage import SET_STORAGE
from chat.cluster import postgresql_broker
from chat.cluster.leases import alive
from chat.conf import settings
from chat.fanout.announcements import Announcement
from chat.models import Schedule
from chat.protocol import commands, frames
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Publication, Receipt, Source, parse
from chat.protocol.restrictions import (
    Ban,
    Revocation,
    Selection,
    valid_ban,
    valid_revocation,
    valid_selection,
)
from chat.runtime import node as nodes
from chat.store import outbox, writer
from chat.store.databases import (
    OUTCOME_UNKNOWN,
    UNAVAILABLE,
    DatabaseUnavailable,
    connection,
    on_commit,
)
from chat.store.operations.audit import Actor
from chat.store.operations.messages import message_not_found
from chat.store.operations.removal import Asked, RemoveMessages, ShowMessage
from chat.store.operations.restrictions import AddBan, AddRevocation, LiftBan
from chat.store.operations.work import CancelSchedule
from chat.store.transaction import Operation

__all__ = [
    "OUTCOME_UNKNOWN",
    "Actor",
    "ChannelInfo",
    "Erased",
    "ErrorCode",
    "ProtocolError",
    "Receipt",
    "aban",
    "acancel_schedule",
    "achannel_info",
    "adelete_message",
    "adisconnect",
    "ahide_message",
    "apublish",
    "areact",
    "arevoke_tokens",
    "aset_storage",
    "ashow_message",
    "aunban",
    "ban",
    "cancel_schedule",
    "channel_info",
    "delete_message",
    "delete_messages",
    "disconnect",
    "erase_user",
    "hide_message",
    "publish",
    "publish_json",
    "react",
    "revoke_tokens",
    "set_storage",
    "show_message",
    "unban",
]

Moment = datetime | float
"""A float in unix seconds; a datetime without a time zone is in UTC."""

SOURCE: Final = Source("server.python")
PYTHON: Final = Actor("python")
OWN_TRANSACTIONS: Final = "erase_user works in transactions of its own, not in another."
TIMEOUT_SECONDS: Final = 30.0  # for this process's own server, which refuses sooner where it can
HOLDS_UP: Final = "This would hold up the event loop: await apublish and the like."
NOT_STORED: Final = (
    "On SQLite, a message that is not stored can be published only in a process that serves; give"
    " it a store, such as -1."
)

_encoder = DjangoJSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_any_json: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder(msgspec.Raw)


class Options(TypedDict, total=False):
    """`store` in seconds, 0 for not stored, -1 for ever; `at` when it is to be done: a datetime,
    or an expression as in protocol.md section 13; `timezone` is for one without, by default
    UTC."""

    store: int
    deduplication_id: str
    emit_pub_sub_event: bool
    at: datetime | str
    timezone: str


@dataclass(slots=True, frozen=True)
class ChannelInfo:
    """`members` are `{"uid": …, "umd": …}` in the order of joining; None: no presence channel."""

    name: str
    subscriptions_count: int
    members: list[dict[str, Any]] | None


def publish(channel: str, event: str, data: object = None, **options: Unpack[Options]) -> Receipt:
    """Publishes a message, by default one that is not stored; the receipt has its `id` or, with
    `at`, the `schedule_arn`, unless it is `pending`: in a transaction on PostgreSQL."""
    return _publish(_publication(channel, event, _json(data), **options))


async def apublish(
    channel: str, event: str, data: object = None, **options: Unpack[Options]
) -> Receipt:
    return await _apublish(_publication(channel, event, _json(data), **options))


def publish_json(
    channel: str, event: str, text: str, key: str | None = None, **options: Unpack[Options]
) -> Receipt:
    """As `publish`, with data that is JSON already and stays as it is; `key` goes with the event
    `hotsock.channelStorageSet`."""
    frames.convert(text, _any_json, "data")
    return _publish(_publication(channel, event, text, key, **options))


def set_storage(channel: str, key: str, data: object, **options: Unpack[Options]) -> Receipt:
    """Sets an entry, by default for ever; None or `{}` clears it."""
    return _publish(_publication(channel, SET_STORAGE, _json(data), key, **options))


async def aset_storage(channel: str, key: str, data: object, **options: Unpack[Options]) -> Receipt:
    return await _apublish(_publication(channel, SET_STORAGE, _json(data), key, **options))


def react(
    channel: str, message_id: str, reaction: str, uid: str, umd: object = None, action: str = "add"
) -> Receipt:
    """Adds a reaction of `uid`'s to a stored message or, with `action` "remove", removes it."""
    return _publish(_reaction(channel, message_id, reaction, uid, umd, action))


async def areact(
    channel: str, message_id: str, reaction: str, uid: str, umd: object = None, action: str = "add"
) -> Receipt:
    return await _apublish(_reaction(channel, message_id, reaction, uid, umd, action))


@async_unsafe(HOLDS_UP)
def delete_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    """Deletes a stored message with its reactions, and notifies who subscribes; `actor` is who does
    it, for the audit log. In a transaction on PostgreSQL it is done after the commit, and not found
    out here whether there is one."""
    operation = deletion_of(channel, message_id, SOURCE, actor)
    if outbox.takes_part():
        outbox.add(channel, operation, _wake)
    else:
        _write(operation)


async def adelete_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    await sync_to_async(delete_message)(channel, message_id, actor)


@async_unsafe(HOLDS_UP)
def hide_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    """Takes a message out of everybody's sight but moderators': history and recovery leave it out,
    and who subscribes sees it go as if it were deleted. In a transaction as `delete_message`."""
    if not _remove([valid_message(channel, message_id)], hides=True, actor=actor):
        raise message_not_found()


async def ahide_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    await sync_to_async(hide_message)(channel, message_id, actor)


@async_unsafe(HOLDS_UP)
def show_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    """Shows a hidden message again, at its old place in history: whoever reads that finds it, and
    nobody is sent it. In a transaction as `delete_message`."""
    operation = ShowMessage(*valid_message(channel, message_id), actor)
    if outbox.takes_part():
        outbox.add(channel, operation, _wake)
    else:
        _write(operation)


async def ashow_message(channel: str, message_id: str, actor: Actor = PYTHON) -> None:
    await sync_to_async(show_message)(channel, message_id, actor)


@async_unsafe(HOLDS_UP)
def delete_messages(
    *,
    uid: str | None = None,
    channel: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    dry_run: bool = False,
    actor: Actor = PYTHON,
    on_progress: Callable[[int, int], object] = lambda deleted, of: None,
) -> int:
    """Deletes all messages of a uid, of a channel or of both, as `delete_message` each: those
    stored from `since` on and before `until`. Gives how many; with `dry_run` they stay. Works in
    short transactions beside the servers, 2,000 a second at most, and after each calls
    `on_progress` with how many of how many. What a later one raises does not undo those before."""
    selection = MessageSelection(uid=uid, channel=channel, since=since, until=until)
    try:
        if dry_run:
            return selection.rows().count()
        deleting = deleting_of(selection, actor)
        for pause in deleting.steps():
            on_progress(deleting.deleted, deleting.of)
            if not connection.in_atomic_block:
                time.sleep(pause)
    except Error as error:
        raise DatabaseUnavailable from error
    return deleting.deleted


@dataclass(slots=True, frozen=True)
class Erased:
    """How many rows of each kind there were of a person, and how many are left: none, unless the
    person has come back meanwhile, or a server has not closed a connection in time."""

    rows: dict[str, int]
    left: dict[str, int]


@async_unsafe(HOLDS_UP)
def erase_user(
    uid: str,
    *,
    dry_run: bool = False,
    actor: Actor = PYTHON,
    on_progress: Callable[[str], object] = lambda doing: None,
) -> Erased:
    """Erases all that is stored of a person (docs/moderation.md): what others see of it goes as
    they watch, connections are closed (4403). Revoke the person's tokens first. With `dry_run`
    everything stays. Takes a lease of a server or longer, in transactions of its own: raises
    INVALID_REQUEST in another. What it raises later does not undo what is done; do it again."""
    if connection.in_atomic_block:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, OWN_TRANSACTIONS)
    erasure = erasure_of(uid, actor)
    try:
        if dry_run:
            return Erased(erasure.count(), {})
        for pause in erasure.steps():
            on_progress(erasure.doing)
            time.sleep(pause)
    except Error as error:
        raise DatabaseUnavailable from error
    return Erased(erasure.rows, erasure.left)


def erasure_of(uid: str, actor: Actor) -> Erasure:
    """Step by step, for whoever shows how far it is."""
    return Erasure(uid, actor, _write, partial(_remove, actor=None))


def deleting_of(selection: MessageSelection, actor: Actor) -> Deleting:
    """Step by step, for whoever shows how far it is."""

    def remove(messages: Sequence[tuple[str, str]], asked: Asked | None) -> int:
        return _remove(messages, asked, actor=actor if asked else None)

    return Deleting(selection, remove)


def remove_messages(
    messages: Sequence[tuple[str, str]], actor: Actor, *, hides: bool = False
) -> int:
    """Deletes or hides messages by channel and id, as many as a page shows, in one transaction.
    Gives how many there were, in a transaction on PostgreSQL how many were asked for."""
    return _remove(messages, actor=actor, hides=hides) if messages else 0


def _remove(
    messages: Sequence[tuple[str, str]],
    asked: Asked | None = None,
    *,
    actor: Actor | None,
    hides: bool = False,
) -> int:
    channels: dict[str, list[str]] = defaultdict(list)
    for channel, id in messages:
        channels[channel].append(id)
    how = hides, SOURCE
    if outbox.takes_part():
        by = actor, asked
        for channel, ids in channels.items():
            outbox.add(channel, RemoveMessages((channel,), tuple(ids), *how, *by), _wake)
            by = (None, None) if asked else by
        return len(messages)
    ids = [id for _, id in messages]
    return _write(RemoveMessages(tuple(channels), tuple(ids), *how, actor, asked))


@async_unsafe(HOLDS_UP)
def cancel_schedule(schedule_arn: str) -> bool | None:
    """Whether there was such a schedule, which will not be done now. None, in a transaction on
    PostgreSQL: there is one, and it is cancelled after the commit unless it is done before."""
    if not commands.MESSAGE_ID.fullmatch(schedule_arn):
        return False
    operation = CancelSchedule(schedule_arn)
    if not outbox.takes_part():
        return _write(operation)
    try:
        schedule = Schedule.objects.select_related("channel").filter(id=schedule_arn).first()
    except Error as error:
        raise DatabaseUnavailable from error
    if schedule is None:
        return False
    outbox.add(schedule.channel.name, operation, _wake)
    return None


async def acancel_schedule(schedule_arn: str) -> bool | None:
    return await sync_to_async(cancel_schedule)(schedule_arn)


def channel_info(channel: str) -> ChannelInfo:
    """How many subscribe to a channel, and who is in it."""
    commands.valid_channel(channel)
    try:
        info = queries.channel_info(channel)
    except Error as error:
        raise DatabaseUnavailable from error
    members = None if info.members is None else msgspec.json.decode(info.members)
    return ChannelInfo(info.name, info.subscriptions, members)


async def achannel_info(channel: str) -> ChannelInfo:
    return await sync_to_async(channel_info)(channel)


# --- who is let in (protocol.md section 19) -----------------------------------------------------
# All take effect in every process within a second. In a transaction they are done after its commit,
# for who makes such a change keeps others from making one until then; what only the commit can know
# is None there.


@async_unsafe(HOLDS_UP)
def revoke_tokens(
    *,
    jti: str | None = None,
    uid: str | None = None,
    issued_before: Moment | None = None,
    expires_at: Moment | None = None,
    actor: Actor = PYTHON,
) -> int:
    """Revokes the token with this `jti`, or those of a `uid` that were issued before a moment, by
    default now. Gives how many connections are closed for that. `expires_at`: until when it is
    remembered; by default as long as tokens may live. `actor` is who does it, for the audit log."""
    fields = {"jti": jti, "uid": uid}
    times = {"issuedBefore": _unix(issued_before), "expiresAt": _unix(expires_at)}
    what = valid_revocation(_asked(Revocation, {**fields, **times}))
    count = _looked_up(count_revoked, what)
    _change([AddRevocation(actor, what)])
    return count


async def arevoke_tokens(
    *,
    jti: str | None = None,
    uid: str | None = None,
    issued_before: Moment | None = None,
    expires_at: Moment | None = None,
    actor: Actor = PYTHON,
) -> int:
    times = {"issued_before": issued_before, "expires_at": expires_at}
    return await sync_to_async(revoke_tokens)(jti=jti, uid=uid, actor=actor, **times)


@async_unsafe(HOLDS_UP)
def disconnect(
    *,
    connection_id: str | None = None,
    uid: str | None = None,
    channel: str | None = None,
    actor: Actor = PYTHON,
) -> int:
    """Closes the connections of which all that is given holds, and gives how many; they may come
    back. `uid` and `channel`: with one subscription of which both hold."""
    fields = {"connectionId": connection_id, "uid": uid, "channel": channel}
    selection = valid_selection(_asked(Selection, fields))
    ids = _looked_up(selected, selection)
    _change(marking(ids, selection, actor))
    return len(ids)


async def adisconnect(
    *,
    connection_id: str | None = None,
    uid: str | None = None,
    channel: str | None = None,
    actor: Actor = PYTHON,
) -> int:
    fields = {"connection_id": connection_id, "uid": uid, "channel": channel}
    return await sync_to_async(disconnect)(actor=actor, **fields)


@async_unsafe(HOLDS_UP)
def ban(
    *,
    uid: str | None = None,
    address: str | None = None,
    channel: str | None = None,
    until: Moment | None = None,
    reason: str | None = None,
    actor: Actor = PYTHON,
) -> int | None:
    """Lets a uid, an address or a network in no more or, with `channel`, a uid neither subscribe to
    it nor write in it. Gives the ban's id. Clients never see the `reason`."""
    fields = {"uid": uid, "address": address, "channel": channel, "reason": reason}
    asked = _asked(Ban, {**fields, "until": _unix(until)})
    what = valid_ban(asked, settings.FORWARDED_ALLOW_IPS)
    return next(iter(_change([AddBan(actor, what)])), None)


async def aban(
    *,
    uid: str | None = None,
    address: str | None = None,
    channel: str | None = None,
    until: Moment | None = None,
    reason: str | None = None,
    actor: Actor = PYTHON,
) -> int | None:
    fields = {"uid": uid, "address": address, "channel": channel, "reason": reason}
    return await sync_to_async(ban)(until=until, actor=actor, **fields)


@async_unsafe(HOLDS_UP)
def unban(id: int, actor: Actor = PYTHON) -> bool | None:
    """Lifts a ban; gives whether there was such a one in force."""
    return next(iter(_change([LiftBan(actor, id)])), None)


async def aunban(id: int, actor: Actor = PYTHON) -> bool | None:
    return await sync_to_async(unban)(id, actor)


def _unix(moment: Moment | None) -> float | None:
    if not isinstance(moment, datetime):
        return moment
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _asked[Asked: msgspec.Struct](what: type[Asked], fields: Mapping[str, object]) -> Asked:
    """By the decoder of the HTTP API, so that nothing passes here that is refused there."""
    return frames.read(_json(fields), msgspec.json.Decoder(what), "What is asked for")


def _looked_up[**P, Found](query: Callable[P, Found], *args: P.args, **kwargs: P.kwargs) -> Found:
    try:
        return query(*args, **kwargs)
    except Error as error:
        raise DatabaseUnavailable from error


def _change[Result](operations: Sequence[Operation[Result]]) -> list[Result]:
    """What each gives, in effect here; nothing where a transaction is to commit first."""
    if connection.in_atomic_block:
        on_commit(partial(_change_now, operations))
        return []
    return _change_now(operations)


def _change_now[Result](operations: Sequence[Operation[Result]]) -> list[Result]:
    done = [_write(operation) for operation in operations]
    node = nodes.of_process()
    if node is not None:
        with suppress(TimeoutError):  # it is committed, and will be read
            asyncio.run_coroutine_threadsafe(node.marked(), node.loop).result(TIMEOUT_SECONDS)
    elif (broker := _broker()) is not None:
        broker.notify_from_outside(nodes.MARKED)
    return done


# --- how it is done -----------------------------------------------------------------------------


def _reaction(
    channel: str, id: str, reaction: str, uid: str, umd: object, action: str
) -> Publication:
    data = {"messageId": id, "reaction": reaction, "action": action, "uid": uid, "umd": umd}
    return _publication(channel, "hotsock.messageReaction", _json(data))


def _publication(
    channel: str,
    event: str,
    data: str,
    key: str | None = None,
    *,
    store: int | None = None,
    deduplication_id: str | None = None,
    emit_pub_sub_event: bool | None = None,
    at: datetime | str | None = None,
    timezone: str | None = None,
) -> Publication:
    """By the parser of `POST /publish`, so that nothing passes here that is refused there."""
    if isinstance(at, datetime):
        at, timezone = _expression(at, timezone)
    fields = {
        "channel": channel,
        "event": event,
        "key": key,
        "store": store,
        "deduplicationId": deduplication_id,
        "emitPubSubEvent": emit_pub_sub_event,
        "scheduleExpression": at,
        "scheduleExpressionTimezone": timezone,
    }
    return parse(f'{_json(fields)[:-1]},"data":{data}}}', "What is published")


def _expression(at: datetime, timezone: str | None) -> tuple[str, str | None]:
    """A moment with fractions of a second becomes the next full one."""
    if at.tzinfo is not None:
        at, timezone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    if at.microsecond:
        at = at.replace(microsecond=0) + timedelta(seconds=1)
    return f"at({at.isoformat()})", timezone


def _json(value: object) -> str:
    """Compact; knows dates, decimals, UUIDs and lazy text as Django does."""
    try:
        return _encoder.encode(value)
    except RecursionError:
        raise frames.malformed("data is nested too deep.") from None
    except (TypeError, ValueError) as error:
        raise frames.malformed(f"This cannot be written as JSON: {error}.") from None


@async_unsafe(HOLDS_UP)
def _publish(publication: Publication) -> Receipt:
    operation = publishing.operation_of(publication, SOURCE)
    if outbox.takes_part():
        outbox.add(operation.receipt.channel, operation, _wake)
        return structs.replace(operation.receipt, pending=True)
    reachable = nodes.of_process() is not None or _broker() is not None
    if publishing.is_ephemeral(operation) and not reachable:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, NOT_STORED)
    receipt = publishing.without_commit(operation)
    if receipt is None:
        receipt = _write(operation)
    elif connection.in_atomic_block:
        on_commit(partial(_announce_all, operation.announced))
    else:
        _announce_all(operation.announced)
    return receipt


async def _apublish(publication: Publication) -> Receipt:
    node = nodes.of_process()
    if node is not None and node.loop is asyncio.get_running_loop():
        return await publishing.publish_as_server(node.hub, node.writer, publication, SOURCE)
    return await sync_to_async(_publish)(publication)


def _write[Result](operation: Operation[Result]) -> Result:
    """Inside of a caller's transaction, in it. Else through this process's own server, where it has
    one: two writers of one process would wait for each other's locks."""
    node = nodes.of_process()
    if node is None or connection.in_atomic_block:
        return writer.write(operation, _announce_all)
    begun = threading.Lock()  # by the event loop; taken here, it is never begun

    async def submit() -> Result:
        if not begun.acquire(blocking=False):
            raise DatabaseUnavailable
        return await node.writer.submit(operation)

    committing = asyncio.run_coroutine_threadsafe(submit(), node.loop)
    try:
        return committing.result(TIMEOUT_SECONDS)
    except TimeoutError:
        withdrawn = begun.acquire(blocking=False)
        raise DatabaseUnavailable(UNAVAILABLE if withdrawn else OUTCOME_UNKNOWN) from None


def _broker() -> ModuleType | None:
    """What reaches the servers from a process that serves nobody."""
    if settings.REDIS_URL:
        return import_module("chat.cluster.redis_broker")  # with Redis' client
    return postgresql_broker if connection.vendor == "postgresql" else None


def _announce_all(announcements: Sequence[Announcement]) -> None:
    """To all subscribers; on SQLite, other processes find by themselves what is stored."""
    node = nodes.of_process()
    if node is not None:
        for item in announcements:
            node.loop.call_soon_threadsafe(node.hub.announce, item)
    elif announcements and (broker := _broker()) is not None:
        broker.announce_from_outside(announcements)


def _wake() -> None:
    """Lets a server take what was just committed. Where none hears of it, each looks by itself."""
    node = nodes.of_process()
    if node is not None:
        node.loop.call_soon_threadsafe(node.outbox_filled.set)
    elif (broker := _broker()) is not None and (servers := list(alive())):
        broker.notify_from_outside(nodes.OUTBOX_FILLED, secrets.choice(servers))

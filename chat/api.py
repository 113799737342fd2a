"""Publishing from Python: from a Django view, a task or a shell, in any process (docs/python.md).

What is published is checked as if it had come over HTTP. Inside of `transaction.atomic` it is
written in that transaction, and announced only if it commits. Every function raises ProtocolError,
with a `code` of protocol.md section 17 and a `message` in words; where it does, nothing is done.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypedDict, Unpack

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error, connection, transaction

from chat.actions import channels, server
from chat.protocol import decoders, frames
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Publication, Receipt, parse
from chat.protocol.sources import Source
from chat.runtime import node as nodes
from chat.store import callers_transaction as joined
from chat.store.databases import UNAVAILABLE
from chat.store.operations import CancelSchedule, Operation

__all__ = [
    "ChannelInfo",
    "ErrorCode",
    "ProtocolError",
    "Receipt",
    "acancel_schedule",
    "achannel_info",
    "apublish",
    "areact",
    "aset_storage",
    "cancel_schedule",
    "channel_info",
    "publish",
    "publish_json",
    "react",
    "set_storage",
]

SOURCE: Final = Source("server.python")
PATIENCE_SECONDS: Final = 10.0  # with this process's own server; it refuses sooner where it can

_any_json: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder(msgspec.Raw)


FIELDS: Final = {
    "store": "store",
    "deduplication_id": "deduplicationId",
    "emit_pub_sub_event": "emitPubSubEvent",
    "timezone": "scheduleExpressionTimezone",
}


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


# --- messages -----------------------------------------------------------------------------------


def publish(channel: str, event: str, data: Any = None, **options: Unpack[Options]) -> Receipt:
    """Publishes a message, by default one that is not stored; the receipt has its `id` or, with
    `at`, the `schedule_arn`."""
    return _perform(_message(channel, event, _json_text(data), options))


async def apublish(
    channel: str, event: str, data: Any = None, **options: Unpack[Options]
) -> Receipt:
    return await _aperform(_message(channel, event, _json_text(data), options))


def publish_json(
    channel: str, event: str, text: str, key: str | None = None, **options: Unpack[Options]
) -> Receipt:
    """As `publish`, with data that is JSON already and stays as it is; `key` goes with the event
    `hotsock.channelStorageSet`."""
    frames.convert(text, _any_json, "data")
    named = {"channel": channel, "event": event} | ({"key": key} if key is not None else {})
    return _perform(_publication(named, text, options))


# --- storage ------------------------------------------------------------------------------------


def set_storage(channel: str, key: str, data: Any, **options: Unpack[Options]) -> Receipt:
    """Sets an entry, by default for ever; None or `{}` clears it."""
    return _perform(_entry(channel, key, _json_text(data), options))


async def aset_storage(channel: str, key: str, data: Any, **options: Unpack[Options]) -> Receipt:
    return await _aperform(_entry(channel, key, _json_text(data), options))


# --- reactions ----------------------------------------------------------------------------------


def react(
    channel: str, message_id: str, reaction: str, uid: str, umd: Any = None, action: str = "add"
) -> Receipt:
    """Adds a reaction of `uid`'s to a stored message or, with `action` "remove", removes it."""
    return _perform(_reaction(channel, message_id, reaction, uid, umd, action))


async def areact(
    channel: str, message_id: str, reaction: str, uid: str, umd: Any = None, action: str = "add"
) -> Receipt:
    return await _aperform(_reaction(channel, message_id, reaction, uid, umd, action))


# --- schedules and channels ---------------------------------------------------------------------


def cancel_schedule(schedule_arn: str) -> bool:
    """Whether there was such a schedule, which will not be done now."""
    _refuse_on_event_loop()
    if not decoders.MESSAGE_ID.fullmatch(schedule_arn):
        return False
    return _write(CancelSchedule(schedule_arn))


async def acancel_schedule(schedule_arn: str) -> bool:
    return await sync_to_async(cancel_schedule)(schedule_arn)


def channel_info(channel: str) -> ChannelInfo:
    """How many subscribe to a channel, and who is in it."""
    decoders.valid_channel(channel)
    try:
        info = channels.read_channel_info(channel)
    except Error as error:
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE) from error
    members = None if info.members is None else msgspec.json.decode(info.members)
    return ChannelInfo(info.name, info.subscriptions, members)


async def achannel_info(channel: str) -> ChannelInfo:
    return await sync_to_async(channel_info)(channel)


# --- publications of plain values --------------------------------------------------------------


def _message(channel: str, event: str, data: str, options: Options) -> Publication:
    return _publication({"channel": channel, "event": event}, data, options)


def _entry(channel: str, key: str, data: str, options: Options) -> Publication:
    named = {"channel": channel, "event": "hotsock.channelStorageSet", "key": key}
    return _publication(named, data, options)


def _reaction(
    channel: str, message_id: str, reaction: str, uid: str, umd: Any, action: str
) -> Publication:
    change = {"messageId": message_id, "reaction": reaction, "action": action}
    named = {"channel": channel, "event": "hotsock.messageReaction"}
    return _publication(named, _json_text({**change, "uid": uid, "umd": umd}), {})


def _publication(named: dict[str, Any], data: str, options: Options) -> Publication:
    stated = dict(options)
    at, timezone = stated.pop("at", None), stated.get("timezone")
    if unknown := stated.keys() - FIELDS.keys():
        raise TypeError(f"There is no option {', '.join(sorted(unknown))}.")
    fields = named | {FIELDS[name]: value for name, value in stated.items()}
    if at is not None:
        fields |= _schedule(at, timezone)
    text = _json_text(fields)
    return parse(f'{text[:-1]},"data":{data}}}', "What is published")


def _schedule(at: Any, timezone: Any) -> dict[str, Any]:
    """A moment with fractions of a second becomes the next full one."""
    if not isinstance(at, datetime):
        return {"scheduleExpression": at}
    if at.tzinfo is not None:
        at, timezone = at.astimezone(UTC).replace(tzinfo=None), "UTC"
    if at.microsecond:
        at = at.replace(microsecond=0) + timedelta(seconds=1)
    return {
        "scheduleExpression": f"at({at.isoformat()})",
        "scheduleExpressionTimezone": timezone,
    }


def _json_text(value: Any) -> str:
    """Compact JSON; knows dates, decimals, UUIDs and lazy text as Django does."""
    try:
        return json.dumps(
            value,
            cls=DjangoJSONEncoder,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
        )
    except RecursionError:
        raise frames.malformed("data is nested too deep.") from None
    except (TypeError, ValueError) as error:
        raise frames.malformed(f"This cannot be written as JSON: {error}.") from None


# --- doing it -----------------------------------------------------------------------------------


def _perform(publication: Publication) -> Receipt:
    _refuse_on_event_loop()
    operation = server.operation_of(publication, SOURCE)
    if server.is_passing(operation) and nodes.of_process() is None and not settings.REDIS_URL:
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST,
            "A message that is not stored can be published only in a process that serves, or with"
            " REDIS_URL set; give it a store, such as -1.",
        )
    receipt = server.pass_on(operation)
    if receipt is None:
        return _write(operation)
    if connection.in_atomic_block:
        transaction.on_commit(partial(_announce, operation))
    else:
        _announce(operation)
    return receipt


async def _aperform(publication: Publication) -> Receipt:
    node = nodes.of_process()
    if node is not None and node.loop is asyncio.get_running_loop():
        return await server.publish(node, publication, SOURCE)
    return await sync_to_async(_perform)(publication)


def _write[Result](operation: Operation[Result]) -> Result:
    """Through this process's own server, where it has one: else the two would wait for each
    other's locks. Not within a transaction of the caller's, which it would not be part of."""
    node = nodes.of_process()
    if node is None or connection.in_atomic_block:
        return joined.write(operation, _announce)
    return _wait(node.loop, node.writer.submit(operation))


def _wait[Result](loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_SECONDS)
    except TimeoutError:
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, UNAVAILABLE) from None


def _announce(operation: Operation[object]) -> None:
    """To all who listen; without Redis, other processes notice by themselves what is stored."""
    node = nodes.of_process()
    if node is not None:
        for item in operation.announced:
            node.loop.call_soon_threadsafe(node.hub.announce, item)
    elif settings.REDIS_URL and operation.announced:
        from chat.cluster.publish_from_outside import tell_servers  # with Redis' client

        tell_servers(operation.announced)


def _refuse_on_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SynchronousOnlyOperation(
        "This would hold up the event loop: await apublish and the like."
    )

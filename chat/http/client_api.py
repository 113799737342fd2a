"""The client HTTP API: `POST /connection/<operation>` (protocol.md section 14). Parses and answers;
the verbs act. An operation is a Struct for its body, a function and a row of OPERATIONS.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Final, cast

from django.http import HttpResponse
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, json

from chat.actions.metadata import update_umd
from chat.actions.publishing import publish, route_to
from chat.actions.queries import (
    MAX_PAGE,
    ChannelInfo,
    Page,
    StoredReaction,
    get_channel_info,
    list_messages,
    list_reactions,
)
from chat.actions.reactions import react
from chat.actions.storage import SET_STORAGE, get_storage, list_entries, set_storage
from chat.conf import settings
from chat.http.access import MAX_LENGTH
from chat.http.credentials import session_of
from chat.http.endpoint import (
    Call,
    accepted,
    body_of,
    endpoint,
    invalid,
    query_of,
    refusal,
    respond,
    source_of,
)
from chat.http.turns import turns_of
from chat.models import StorageEntry
from chat.protocol import commands, events, frames
from chat.protocol.commands import Publish, React
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import NOTHING, Session
from chat.runtime import node as nodes
from chat.runtime.node import Node

BODY: Final = "The body"
MAX_KEYS: Final = 100
REACTION: Final = frozenset({"hotsock.messageReaction"})

Operation = Callable[[Node, Session, str], Awaitable[HttpResponse]]


@endpoint("POST", allow="POST, OPTIONS", cross_origin=True)
async def client_operation(request: Call, operation: str) -> HttpResponse:
    """`POST /connection/<operation>?connectionId=…&connectionSecret=…`."""
    perform = OPERATIONS.get(operation)
    if perform is None:
        return refusal(invalid("There is no such operation."), status=404)
    query = query_of(request)
    connection_id, secret = query.get("connectionId", ""), query.get("connectionSecret", "")
    node = await nodes.current()
    turns, page = turns_of(connection_id), operation in PAGES
    if not (turns.free(page=page) and await request.incoming.has_come()):
        await session_of(node, connection_id, secret, "")  # strangers are not waited for
    await request.until_answered.enter_async_context(turns.take(page=page))
    body = await body_of(request)
    _, channel, ack = frames.outline(body)
    request.ack = ack if operation in CHANGES else None
    session = await session_of(node, connection_id, secret, channel)
    request.about = {"connection": connection_id, "channel": (channel or "")[:MAX_LENGTH]}
    limit = settings.CLIENT_FRAMES_PER_SECOND
    if not frames.rate_of(connection_id, limit).allows(time.monotonic()):
        raise ProtocolError(ErrorCode.RATE_LIMITED, f"More than {limit} calls a second.")
    units = frames.cost(operation, channel, len(session.subscriptions))
    node.connections.spend(connection_id, units)
    source = source_of(request, "client.http", connection_id)
    response = await perform(node, session.seen_from(source), body)
    if operation in CHANGES:
        channel = session.real_name(channel or "")
        await node.order.behind(connection_id, channel, session.last_numbers.get(channel, 0))
    node.connections.owe(connection_id, len(response.content))
    return response


class ChannelBody(Struct, gc=False):
    channel: str | None = None


def reading[Body: Struct](
    body: type[Body], perform: Callable[[Node, Session, Body], Awaitable[HttpResponse]]
) -> Operation:
    """The operation that reads its body as this Struct."""
    decoder = json.Decoder(body)

    async def operation(node: Node, session: Session, text: str) -> HttpResponse:
        return await perform(node, session, frames.read(text, decoder, BODY))

    return operation


class MessageBody(frames.Frame, gc=False, rename="camel"):
    eager_id_generation: bool | None = None


_message_body = json.Decoder(MessageBody)


async def _publish_message(node: Node, session: Session, text: str) -> HttpResponse:
    body = frames.read(text, _message_body, BODY)
    command = cast("Publish | React", commands.decode(body, REACTION))
    if isinstance(command, React):
        return accepted(await react(node.writer, session, command), with_id=False)
    route = route_to(session, command.channel, command.event)
    work = command.data, command.at, command.ack
    receipt = await publish(node.hub, node.writer, session, route, *work)
    return accepted(receipt, with_id=bool(body.eager_id_generation))


class HistoryBody(ChannelBody, gc=False, rename="camel"):
    after: str | None = None
    before: str | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] | None = None
    reverse: bool | None = None
    expand_reactions: bool | None = None


class ReactionsBody(ChannelBody, gc=False, rename="camel"):
    message_id: str | None = None


class Person(Struct, gc=False):
    uid: str
    umd: Raw | UnsetType = UNSET


class Reaction(Struct, gc=False):
    reaction: str
    uid: str
    umd: Raw | UnsetType = UNSET


class Summary(Struct, gc=False):
    count: int
    items: list[Person] | UnsetType = UNSET


async def _list_messages(node: Node, session: Session, body: HistoryBody) -> HttpResponse:
    reverse = bool(body.reverse)
    page = await list_messages(
        session,
        commands.valid_channel(body.channel),
        after="" if reverse else _message_id(body.after, "after"),
        before=_message_id(body.before, "before") if reverse else "",
        limit=body.limit or MAX_PAGE,
        reverse=reverse,
    )
    messages = b",".join(_messages(page, expand=bool(body.expand_reactions)))
    return respond(b'{"messages":[%b]}' % messages)


def _message_id(id: str | None, field: str) -> str:
    """A message id of the body; "" where there is none."""
    if id and not commands.MESSAGE_ID.fullmatch(id):
        raise invalid(f"{field} must be a message id: 26 characters of a ULID.")
    return id or ""


def _messages(page: Page, *, expand: bool) -> Iterable[bytes]:
    for row in page.messages:
        meta = None if row.by_server else events.meta(row.uid, row.umd)
        message = events.message_json(
            *(row.id, row.event, page.channel, row.data.encode()), meta, row.number
        )
        reactions = page.reactions.get(row.id, ())
        if reactions or expand:
            message = b'%b,"reactions":%b}' % (message[:-1], _summaries(reactions, expand))
        yield message


def _summaries(reactions: Sequence[StoredReaction], expand: bool) -> bytes:
    """`{"👍":{"count":2}}`."""
    people: dict[str, list[Person]] = {}
    for each in reactions:
        people.setdefault(each.reaction, []).append(Person(each.uid, _umd(each)))
    return json.encode(
        {value: Summary(len(who), who if expand else UNSET) for value, who in people.items()}
    )


def _umd(reaction: StoredReaction) -> Raw | UnsetType:
    """Left out where it is null."""
    return UNSET if reaction.umd == NOTHING else Raw(reaction.umd)


async def _list_reactions(node: Node, session: Session, body: ReactionsBody) -> HttpResponse:
    channel = commands.valid_channel(body.channel)
    if body.message_id is None:
        raise invalid("messageId is required.")
    rows = await list_reactions(session, channel, body.message_id)
    reactions = [Reaction(row.reaction, row.uid, _umd(row)) for row in rows]
    return respond(json.encode({"reactions": reactions}))


class EntryBody(ChannelBody, gc=False):
    key: str | None = None


class EntriesBody(ChannelBody, gc=False):
    keys: list[str] | None = None
    after: str | None = None


class SetEntryBody(frames.Frame, gc=False, rename="camel"):
    event: str = SET_STORAGE


_set_entry_body = json.Decoder(SetEntryBody)


async def _get_entry(node: Node, session: Session, body: EntryBody) -> HttpResponse:
    command = commands.get_storage(body.channel, body.key)
    return respond((await get_storage(session, command)).payload)


async def _set_entry(node: Node, session: Session, text: str) -> HttpResponse:
    command = commands.set_storage(frames.read(text, _set_entry_body, BODY))
    return accepted(await set_storage(node.writer, session, command), with_id=False)


async def _list_entries(node: Node, session: Session, body: EntriesBody) -> HttpResponse:
    channel = session.real_name(commands.valid_channel(body.channel))
    grants = session.sender(channel).grants
    entries = await list_entries(
        channel,
        keys=None if body.keys is None else valid_keys(body.keys),
        after=commands.valid_key(body.after, "after") if body.after else "",
        allowed=lambda key: grants.storage(channel, key).get,
    )
    return entries_response(entries)


def valid_keys(keys: list[str]) -> list[str]:
    """Raises INVALID_REQUEST where they are too many, INVALID_STORAGE_KEY."""
    if len(keys) > MAX_KEYS:
        raise invalid(f"keys may hold up to {MAX_KEYS} keys.")
    return [commands.valid_key(key, "keys") for key in keys]


def entries_response(rows: Iterable[StorageEntry]) -> HttpResponse:
    """`{"items":[{"key":…,"data":…,"meta":…},…]}`."""
    items = [events.storage_item(entry.key, *entry.shown) for entry in rows]
    return respond(json.encode({"items": items}))


class UmdBody(ChannelBody, gc=False):
    token: str | None = None


async def _get_channel_info(node: Node, session: Session, body: ChannelBody) -> HttpResponse:
    info = await get_channel_info(session, commands.valid_channel(body.channel))
    return info_response(b"channel", info)


def info_response(field: bytes, info: ChannelInfo) -> HttpResponse:
    """The channel's name under `field`, how many subscribe and, where it has presence, who."""
    members = b"" if info.members is None else b',"members":' + info.members
    counted = field, json.encode(info.name), info.subscriptions
    return respond(b'{"%b":%b,"subscriptionsCount":%d%b}' % (*counted, members))


async def _update_umd(node: Node, session: Session, body: UmdBody) -> HttpResponse:
    command = commands.umd_update(body.token, body.channel)
    await update_umd(session, command, node.metadata, node.restrictions)
    return respond(b"{}")


OPERATIONS: Final[dict[str, Operation]] = {
    "channelStorageGet": reading(EntryBody, _get_entry),
    "channelStorageList": reading(EntriesBody, _list_entries),
    "channelStorageSet": _set_entry,
    "getChannelInfo": reading(ChannelBody, _get_channel_info),
    "listMessages": reading(HistoryBody, _list_messages),
    "listReactions": reading(ReactionsBody, _list_reactions),
    "publishMessage": _publish_message,
    "umdUpdate": reading(UmdBody, _update_umd),
}
CHANGES: Final = {"channelStorageSet", "publishMessage"}
# Their answers may be large: 100 messages or entries of 32 KiB, or the reactions to a message.
PAGES: Final = {"channelStorageList", "listMessages", "listReactions"}

"""`listMessages` and `listReactions`."""

from collections.abc import Sequence

from msgspec import Struct, json

from chat.actions.history import Given, Page, list_messages
from chat.actions.reactions import list_reactions
from chat.http.client_api.answers import Answer
from chat.protocol import decoders, events, frames
from chat.protocol.decoders import MESSAGE_ID
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import NOTHING, Session
from chat.runtime.node import Node


class Listing(Struct, gc=False, rename="camel"):
    """The body of `listMessages`."""

    channel: str | None = None
    after: str | None = None
    before: str | None = None
    reverse: bool | None = None
    expand_reactions: bool | None = None


class ReactionListing(Struct, gc=False, rename="camel"):
    """The body of `listReactions`."""

    channel: str | None = None
    message_id: str | None = None


_listing = json.Decoder(Listing)
_reaction_listing = json.Decoder(ReactionListing)


# --- listMessages -------------------------------------------------------------------------------


async def messages(node: Node, session: Session, body: str) -> Answer:
    asked = frames.read(body, _listing, "The body")
    reverse = bool(asked.reverse)
    page = await list_messages(
        session,
        decoders.valid_channel(asked.channel),
        after="" if reverse else _message_id(asked.after, "after"),
        before=_message_id(asked.before, "before") if reverse else "",
        reverse=reverse,
    )
    return Answer(_page_json(page, expand=bool(asked.expand_reactions)))


def _message_id(id: str | None, field: str) -> str:
    """A message id of the body; "" where there is none."""
    if id and not MESSAGE_ID.fullmatch(id):
        raise ProtocolError(
            ErrorCode.INVALID_REQUEST, f"{field} must be a message id: 26 characters of a ULID."
        )
    return id or ""


def _page_json(page: Page, *, expand: bool) -> bytes:
    items = []
    for row in page.messages:
        meta = None if row.by_server else events.meta(row.uid, row.umd)
        item = events.message_json(row.id, row.event, page.channel, row.data.encode(), meta)
        reactions = page.reactions.get(row.id, ())
        if reactions or expand:
            item = b'%b,"reactions":%b}' % (item[:-1], _summary(reactions, expand))
        items.append(item)
    return b'{"messages":[%b]}' % b",".join(items)


def _summary(reactions: Sequence[Given], expand: bool) -> bytes:
    """`{"👍":{"count":2}}`, with who reacted where that is asked for, oldest first."""
    by_value: dict[str, list[bytes]] = {}
    for reaction in reactions:
        by_value.setdefault(reaction.reaction, []).append(b"{%b}" % _person(reaction))
    return b"{%b}" % b",".join(
        b"%b:%b" % (json.encode(value), _count(people, expand))
        for value, people in by_value.items()
    )


def _count(people: list[bytes], expand: bool) -> bytes:
    items = b',"items":[%b]' % b",".join(people) if expand else b""
    return b'{"count":%d%b}' % (len(people), items)


def _person(reaction: Given) -> bytes:
    """`"uid":…,"umd":…`, without a umd that is null."""
    umd = b"" if reaction.umd == NOTHING else b',"umd":' + reaction.umd.encode()
    return b'"uid":%b%b' % (json.encode(reaction.uid), umd)


# --- listReactions ------------------------------------------------------------------------------


async def reactions(node: Node, session: Session, body: str) -> Answer:
    asked = frames.read(body, _reaction_listing, "The body")
    channel = decoders.valid_channel(asked.channel)
    if asked.message_id is None:
        raise ProtocolError(ErrorCode.INVALID_REQUEST, "messageId is required.")
    reactions = await list_reactions(session, channel, asked.message_id)
    items = (b'{"reaction":%b,%b}' % (json.encode(row.reaction), _person(row)) for row in reactions)
    return Answer(b'{"reactions":[%b]}' % b",".join(items))

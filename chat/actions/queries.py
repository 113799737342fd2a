"""What can be read of a channel: its subscribers, its messages and the reactions to them
(protocol.md sections 8, 9, 14 and 15)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from chat.models import Member, Message, Reaction, Subscription
from chat.protocol import events
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.presence import members_json
from chat.protocol.session import Session
from chat.store.operations.messages import message_not_found
from chat.store.reads import read
from tokens.names import is_presence

MAX_PAGE: Final = 100


@dataclass(slots=True, frozen=True)
class ChannelInfo:
    """The real name, how many subscriptions count, and on presence channels the members in the
    order of joining: the JSON of their list, else None."""

    name: str
    subscriptions: int
    members: bytes | None


async def get_channel_info(session: Session, channel: str) -> ChannelInfo:
    """What a connection may know of a channel, by its name or an alias.

    Raises ProtocolError: INFO_PERMISSION_DENIED, SERVICE_UNAVAILABLE.
    """
    name = session.real_name(channel)
    if not session.sender(name).grants.channel(name).get_info:
        raise ProtocolError(
            ErrorCode.INFO_PERMISSION_DENIED, "You may not ask about this channel: no getInfo."
        )
    return await read(channel_info, name)


def channel_info(channel: str) -> ChannelInfo:
    """By its real name; an unknown channel has nobody."""
    subscriptions = Subscription.objects.counted().filter(channel__name=channel)
    members = None
    if is_presence(channel):
        present = Member.objects.filter(channel__name=channel, removed=False).order_by("joined")
        members = members_json(events.meta(*row) for row in present.values_list("uid", "umd"))
    return ChannelInfo(channel, subscriptions.count(), members)


# --- history ------------------------------------------------------------------------------------


class StoredMessage(NamedTuple):
    """`data` and `umd` are JSON text."""

    id: str
    number: int
    event: str
    data: str
    uid: str | None
    umd: str
    by_server: bool


class StoredReaction(NamedTuple):
    """`umd` is JSON text."""

    message_id: str
    reaction: str
    uid: str
    umd: str


@dataclass(slots=True, frozen=True)
class Page:
    """Messages of one channel in the order asked for, and the reactions to each, oldest first."""

    channel: str
    messages: list[StoredMessage]
    reactions: dict[str, list[StoredReaction]]


async def list_messages(
    session: Session,
    channel: str,
    *,
    after: str = "",
    before: str = "",
    limit: int = MAX_PAGE,
    reverse: bool = False,
) -> Page:
    """Up to `limit` messages that have not expired, inside the caller's window.

    `after` and `before` are message ids, exclusive; `reverse`: the newest first. Raises
    ProtocolError: NOT_SUBSCRIBED, SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(channel)
    start = subscription.window_start()
    return await read(_page, subscription.channel, max(start, after), before, limit, reverse)


def _page(
    channel: str, after: str, before: str = "", limit: int = MAX_PAGE, reverse: bool = False
) -> Page:
    """Rows, not models: of 100 messages with five reactions each, making those took 5 ms."""
    live = Message.objects.live().of(channel).after(after)
    rows = live.filter(id__lt=before) if before else live
    ordered = rows.order_by("-id" if reverse else "id").values_list(*StoredMessage._fields)
    messages = [StoredMessage(*row) for row in ordered[:limit]]
    reactions: dict[str, list[StoredReaction]] = defaultdict(list)
    for reaction in _standing(row.id for row in messages):
        reactions[reaction.message_id].append(reaction)
    return Page(channel, messages, reactions)


async def list_reactions(session: Session, channel: str, message_id: str) -> list[StoredReaction]:
    """The reactions to one message inside the caller's history window, oldest first.

    Raises ProtocolError: NOT_SUBSCRIBED, MESSAGE_NOT_FOUND, SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(channel)
    start = subscription.window_start()
    return await read(_reactions_to, subscription.channel, message_id, start)


def _reactions_to(channel: str, message_id: str, after: str) -> list[StoredReaction]:
    event_of(channel, message_id, after)
    return _standing([message_id])


def _standing(message_ids: Iterable[str]) -> list[StoredReaction]:
    standing = Reaction.objects.standing().filter(message_id__in=list(message_ids))
    rows = standing.order_by("number").values_list(*StoredReaction._fields)
    return [StoredReaction(*row) for row in rows]


def event_of(channel: str, message_id: str, after: str = "") -> str:
    """The event of a live message of this channel; raises MESSAGE_NOT_FOUND."""
    live = Message.objects.live().after(after).filter(id=message_id, channel__name=channel)
    event = live.values_list("event", flat=True).first()
    if event is None:
        raise message_not_found()
    return event

"""Reading back what was stored (protocol.md section 8)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from chat.delivery.reader import read
from chat.models import Message, Reaction
from chat.protocol.session import Session, window_start

PAGE: Final = 100


@dataclass(slots=True, frozen=True)
class Page:
    """Messages of one channel in the order asked for, and the reactions to each, oldest first."""

    channel: str
    messages: list[Message]
    reactions: dict[str, list[Reaction]]


async def list_messages(
    session: Session, channel: str, *, after: str = "", before: str = "", reverse: bool = False
) -> Page:
    """Up to 100 messages that have not expired, inside the caller's window.

    `after` and `before` are message ids, exclusive; `before` counts only with `reverse`, `after`
    only without. Raises ProtocolError: NOT_SUBSCRIBED, SERVICE_UNAVAILABLE.
    """
    subscription = session.subscription(channel)
    start = window_start(subscription)
    if reverse:
        return await read(_newest, subscription.channel, start, before)
    return await read(_oldest, subscription.channel, max(start, after))


def _oldest(channel: str, after: str) -> Page:
    rows = Message.objects.live().of(channel).after(after).order_by("id")
    return _page(channel, rows[:PAGE])


def _newest(channel: str, after: str, before: str) -> Page:
    rows = Message.objects.live().of(channel).after(after).order_by("-id")
    return _page(channel, (rows.before(before) if before else rows)[:PAGE])


def _page(channel: str, rows: Iterable[Message]) -> Page:
    messages = list(rows)
    reactions: dict[str, list[Reaction]] = defaultdict(list)
    standing = Reaction.objects.standing().filter(message_id__in=[row.id for row in messages])
    for reaction in standing.order_by("number"):
        reactions[reaction.message_id].append(reaction)
    return Page(channel, messages, reactions)

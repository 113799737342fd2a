"""Deleting stored messages (protocol.md section 19): one, or all of somebody or of a channel."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import Q

from chat.cluster.leases import alive
from chat.models import Message
from chat.models.messages import MessageQuerySet
from chat.protocol import commands, ids
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.publication import Source
from chat.store.operations.audit import Actor
from chat.store.operations.messages import message_not_found
from chat.store.operations.removal import Asked, DeleteMessage
from chat.store.writer import Writer

BATCH: Final = 100  # messages in a transaction
PAUSE: Final = 0.05  # seconds between two, so that all who subscribe can read 2,000 a second
NEITHER: Final = "uid or channel must be given: whose messages, or of which channel."


async def delete_message(
    writer: Writer, channel: str, message_id: str, source: Source, actor: Actor
) -> None:
    """Deletes a message with its reactions, and notifies who subscribes.

    Raises ProtocolError: INVALID_CHANNEL_NAME, MESSAGE_NOT_FOUND, SERVICE_UNAVAILABLE.
    """
    await writer.submit(deletion_of(channel, message_id, source, actor))


def deletion_of(channel: str, message_id: str, source: Source, actor: Actor) -> DeleteMessage:
    """What is to be committed and announced."""
    return DeleteMessage(*valid_message(channel, message_id), source, actor)


def valid_message(channel: str, message_id: str) -> tuple[str, str]:
    commands.valid_channel(channel)
    if not commands.MESSAGE_ID.fullmatch(message_id):  # PostgreSQL cannot be asked for every text
        raise message_not_found()
    return channel, message_id


# --- many ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSelection:
    """The messages of a uid, of a channel or of both that have not expired, hidden ones too; those
    stored from `since` on and before `until`. Raises INVALID_REQUEST, INVALID_CHANNEL_NAME."""

    uid: str | None = None
    channel: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.uid is None and self.channel is None:
            raise ProtocolError(ErrorCode.INVALID_REQUEST, NEITHER)
        if self.uid is not None:
            commands.valid_uid(self.uid)
        if self.channel is not None:
            commands.valid_channel(self.channel)

    def rows(self) -> MessageQuerySet:
        """In no order."""
        rows = Message.objects.unexpired()
        if self.uid is not None:
            rows = rows.filter(uid=self.uid)
        if self.channel is not None:
            rows = rows.of(self.channel)
        bounds = Q()
        if self.since is not None:
            bounds &= Q(id__gt=ids.before_instant(self.since.timestamp()))
        if self.until is not None:
            bounds &= Q(id__lte=ids.before_instant(self.until.timestamp()))
        return rows.filter(bounds)

    def asked(self, messages: int) -> Asked:
        times = {"since": self.since, "until": self.until}
        detail = {name: time.isoformat() for name, time in times.items() if time is not None}
        return Asked(self.uid, self.channel or "", {"messages": messages, **detail})


Remove = Callable[[Sequence[tuple[str, str]], Asked | None], int]
"""Takes away messages by channel and id, and gives how many it found."""


@dataclass(slots=True)
class Deleting:
    """Deletes what is selected, the oldest first, in short transactions beside a server. `of`: how
    many there were at the beginning. Broken off and begun again it goes on from there."""

    selection: MessageSelection
    remove: Remove
    of: int = field(init=False)
    deleted: int = 0

    def __post_init__(self) -> None:
        self.of = self.selection.rows().count()

    def steps(self) -> Iterator[float]:
        """Deletes some, and gives for how many seconds to wait before the next step. Raises
        SERVICE_UNAVAILABLE."""
        last, asked, found = "", self.selection.asked(self.of), [("", "")]
        while found:
            rows = self.selection.rows().after(last).order_by("id")
            if found := list(rows.values_list("channel__name", "id")[:BATCH]):
                began = time.monotonic()
                self.deleted += self.remove(found, None if last else asked)
                last = found[-1][1]
                yield pause(time.monotonic() - began)


def pause(took: float) -> float:
    """Seconds to wait after a transaction that took so long: beside a server longer."""
    return max(PAUSE, 2 * took) if alive() else 0.0

"""Rows for the tests of the purge, in the default database, and what is left of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from django.utils import timezone

from chat.models import (
    Acknowledgement,
    AuditEntry,
    Channel,
    Connection,
    Deduplication,
    Deletion,
    Member,
    Message,
    Node,
    Reaction,
    Restriction,
    StorageEntry,
    Subscription,
)
from chat.protocol import ids
from tokens.models import UsedToken

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

NOTHING = {
    "messages": 0,
    "reactions": 0,
    "deletions": 0,
    "storage_entries": 0,
    "former_members": 0,
    "deduplications": 0,
    "acknowledgements": 0,
    "audit_entries": 0,
    "restrictions": 0,
    "used_tokens": 0,
    "channels": 0,
}
"""What a purge reports that found nothing due."""

_numbers = count(1)


@dataclass(frozen=True)
class Survivors:
    messages: set[str]
    reactions: set[int]
    used_tokens: set[str]
    channels: set[int]


def survivors() -> Survivors:
    models = (Message, Reaction, UsedToken, Channel)
    return Survivors(*(set(model.objects.values_list("pk", flat=True)) for model in models))


def clear() -> None:
    for model in (
        Acknowledgement,
        AuditEntry,
        Deduplication,
        Deletion,
        Member,
        StorageEntry,
        Reaction,
        Restriction,
        Message,
        Subscription,
        Connection,
        Node,
        UsedToken,
        Channel,
    ):
        model.objects.all().delete()


def ago(time: timedelta) -> datetime:
    return timezone.now() - time


def channel(changed_at: datetime | None = None) -> Channel:
    name = f"channel-{next(_numbers)}"
    return Channel.objects.create(name=name, changed_at=changed_at or timezone.now())


def messages(
    channel: Channel, expiries: Iterable[datetime | None], *, reactions: int = 1
) -> list[Message]:
    """A message for each expiry (None: kept for ever), with as many reactions, every other one of
    them taken back."""
    stored = [_message(channel, expires_at) for expires_at in expiries]
    Message.objects.bulk_create(stored)
    Reaction.objects.bulk_create(
        _reaction(message, nth) for message in stored for nth in range(reactions)
    )
    return stored


def deletion(channel: Channel, expires_at: datetime, *, outlived: bool = False) -> Deletion:
    number = next(_numbers)
    return Deletion.objects.create(
        message_id=ids.new_id(number),
        channel=channel,
        number=number,
        expires_at=expires_at,
        outlived=outlived,
    )


def used_token(expires_at: datetime) -> UsedToken:
    return UsedToken.objects.create(id=UsedToken.digest(str(next(_numbers))), expires_at=expires_at)


def storage_entry(
    channel: Channel, expires_at: datetime | None, *, reports_expiry: bool = False
) -> StorageEntry:
    number = next(_numbers)
    return StorageEntry.objects.create(
        channel=channel,
        key=f"key-{number}",
        number=number,
        data="1",
        expires_at=expires_at,
        reports_expiry=reports_expiry,
    )


def member(channel: Channel, changed_at: datetime, *, removed: bool = True) -> Member:
    number = next(_numbers)
    return Member.objects.create(
        channel=channel,
        uid=f"uid-{number}",
        joined=number,
        number=number,
        removed=removed,
        changed_at=changed_at,
    )


def deduplication(channel: Channel, expires_at: datetime) -> Deduplication:
    key = str(next(_numbers))
    return Deduplication.objects.create(
        channel=channel, key=key, answer="{}", expires_at=expires_at
    )


def acknowledgement(channel: Channel, expires_at: datetime) -> Acknowledgement:
    ack = str(next(_numbers))
    return Acknowledgement.objects.create(channel=channel, ack=ack, expires_at=expires_at)


def audit_entry(at: datetime) -> AuditEntry:
    return AuditEntry.objects.create(at=at, actor="command", action="delete message")


def restriction(expires_at: datetime | None) -> Restriction:
    number = next(_numbers)
    now = timezone.now()
    return Restriction.objects.create(number=number, created_at=now, expires_at=expires_at)


def node(lease_until: datetime) -> Node:
    return Node.objects.create(
        id=ids.new_id(next(_numbers)),
        host="elsewhere",
        pid=1,
        version="0",
        started_at=timezone.now(),
        lease_until=lease_until,
    )


def subscription(channel: Channel) -> Subscription:
    now = timezone.now()
    connection = Connection.objects.create(
        id=f"connection-{next(_numbers)}",
        node=node(lease_until=now - SECOND),
        secret_hash="",
        claims="{}",
        connected_at=now,
        expires_at=now + DAY,
    )
    return Subscription.objects.create(channel=channel, connection=connection, subscribed_at=now)


def _message(channel: Channel, expires_at: datetime | None) -> Message:
    number = next(_numbers)
    return Message(
        id=ids.new_id(number),
        channel=channel,
        number=number,
        event="chat",
        data='"hello"',
        uid=f"user-{number % 7}",
        expires_at=expires_at,
    )


def _reaction(message: Message, nth: int) -> Reaction:
    return Reaction(
        message=message,
        channel=message.channel,
        number=next(_numbers),
        uid=f"user-{nth}",
        reaction="👍",
        removed=nth % 2 == 1,
        created_at=timezone.now(),
    )

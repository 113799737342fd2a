"""Rows as the server stores them."""

import itertools
import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from chat.models import (
    AuditEntry,
    Channel,
    Connection,
    Member,
    Message,
    Node,
    Reaction,
    Restriction,
    Schedule,
    StorageEntry,
    Subscription,
)
from chat.protocol import ids
from chat.store.operations.messages import PublishMessage
from chat.store.operations.storage import SetStorage
from chat.store.operations.work import encode

NOW = datetime.now(UTC)
numbers = itertools.count(1)


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def ahead(**time: float) -> datetime:
    return NOW + timedelta(**time)


def channel(name: str = "chat-abc") -> Channel:
    return Channel.objects.get_or_create(name=name, defaults={"changed_at": NOW})[0]


def message(
    data: str = '"hello"', *, at: datetime = NOW, to: str = "chat-abc", **columns: Any
) -> Message:
    row = Message.objects.create(
        id=ids.new_id(int(at.timestamp() * 1000)),
        channel=channel(to),
        number=next(numbers),
        data=data,
        **{"event": "chat", "uid": "jim", **columns},
    )
    Channel.objects.filter(id=row.channel_id).update(last_message_id=row.id)
    return row


def messages(count: int, **columns: Any) -> list[Message]:
    """So many, a minute between each and the next, the latest first; each says its number."""
    with transaction.atomic():
        return [
            message(f'"{number}"', at=ago(minutes=number), **columns) for number in range(count)
        ]


def reaction(to: Message, uid: str = "pam", value: str = "👍", **columns: Any) -> Reaction:
    return Reaction.objects.create(
        message=to,
        channel_id=to.channel_id,
        number=next(numbers),
        uid=uid,
        reaction=value,
        **{"created_at": NOW, **columns},
    )


def entry(key: str = "k", data: str = '"kept"', *, to: str = "chat-abc", **columns: Any) -> Any:
    return StorageEntry.objects.create(
        channel=channel(to), key=key, number=next(numbers), data=data, **{"uid": "jim", **columns}
    )


def member(uid: str = "jim", *, of: str = "presence.abc", **columns: Any) -> Member:
    number = next(numbers)
    return Member.objects.create(
        channel=channel(of),
        uid=uid,
        number=number,
        **{"joined": number, "changed_at": NOW, **columns},
    )


def schedule(
    data: str = '"hello"', *, at: datetime = NOW, to: str = "chat-abc", **fields: Any
) -> Schedule:
    """A message or, with a `key`, a storage write; by Jim, unless it is the server's."""
    sent = {"uid": "jim", "umd": "null", "meta": b'{"uid":"jim","umd":null}', "store": -1, **fields}
    make: Any = SetStorage if "key" in fields else partial(PublishMessage, event="chat")
    work = make(channel=to, data=data.encode() or None, **sent)
    return Schedule.objects.create(
        id=ids.new_id(next(numbers)),
        channel=channel(to),
        due_at=at,
        work=encode(work),
        created_at=ago(hours=1),
    )


def audit_entry(at: datetime = NOW, **columns: Any) -> AuditEntry:
    return AuditEntry.objects.create(
        at=at, **{"actor": "api key 1", "action": "delete message", "uid": "eve", **columns}
    )


def node() -> Node:
    return Node.objects.create(
        id=ids.new_id(int(NOW.timestamp() * 1000)),
        host="web-1",
        pid=4242,
        version="0.1.0",
        started_at=ago(hours=2),
        lease_until=ahead(hours=1),
    )


def connection(uid: str = "jim", claims: str = "{}", **columns: Any) -> Connection:
    return Connection.objects.create(
        id=f"{secrets.token_urlsafe(11)}=",
        secret_hash=secrets.token_hex(32),
        claims=claims,
        uid=uid,
        **{
            "node": Node.objects.first() or node(),
            "address": "192.0.2.7",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "connected_at": NOW,
            "expires_at": ahead(hours=2),
            **columns,
        },
    )


def subscription(of: Connection, to: str = "chat-abc", claims: str = "") -> Subscription:
    return Subscription.objects.create(
        connection=of, channel=channel(to), claims=claims, subscribed_at=NOW
    )


def restriction(uid: str | None = "jim", **columns: Any) -> Restriction:
    """A ban, unless `columns` say otherwise."""
    return Restriction.objects.create(
        **{"number": next(numbers), "uid": uid, "created_at": NOW, **columns}
    )

"""What the application's own backend is told: one function for each line of the table in section 16
of protocol.md.

Only shapes here. Raw JSON that a client sent is spliced in as it came; the rest is encoded once.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from msgspec import json

from chat.protocol import ids
from chat.protocol.events import instant, meta, quote
from chat.protocol.publication import Source

PROTOCOL_VERSION: Final = "1.13.0"
NOTHING: Final = "null"
REACTED: Final = {
    "add": "hotsock.messageReactionAdded",
    "remove": "hotsock.messageReactionRemoved",
}


@dataclass(frozen=True)
class Report:
    """A backend event. `stream` is what keeps its order: a channel's name or a connection's id;
    `raw` is its data as JSON."""

    type: str
    data_type: str
    stream: str
    metadata: dict[str, str]
    raw: bytes

    @cached_property
    def id(self) -> str:
        """The `webhook-id`: the same at every attempt to deliver it."""
        return f"msg_{_new_id()}"

    @cached_property
    def data(self) -> Any:
        """The data, parsed."""
        return json.decode(self.raw)

    @cached_property
    def body(self) -> bytes:
        """The whole event as JSON."""
        return b'{"source":"hotsock.v1","type":%b,"metadata":%b,"data":%b,"dataType":%b}' % (
            quote(self.type),
            quote(self.metadata),
            self.raw,
            quote(self.data_type),
        )


def connection(
    type: str,
    id: str,
    connected_at: datetime,
    disconnected_at: datetime | None,
    *,
    keep_alive: bool,
    address: str,
    uid: str | None,
    umd: str,
    user_agent: str,
) -> Report:
    """`connected`, `disconnected` or `connectionUpdated`; `umd` is JSON text, here and below."""
    raw = _object(
        id=quote(id),
        connectedAt=_time(connected_at),
        disconnectedAt=_time(disconnected_at),
        keepAlive=quote(keep_alive),
        sourceIp=quote(address),
        uid=quote(uid),
        umd=umd.encode(),
        userAgent=quote(user_agent),
    )
    return Report(f"hotsock.{type}", "connection", id, _metadata(), raw)


def subscription(type: str, channel: str, connection_id: str, uid: str | None, umd: str) -> Report:
    """`subscribed` or `unsubscribed`."""
    raw = _object(
        channel=quote(channel),
        connectionId=quote(connection_id),
        uid=quote(uid),
        umd=umd.encode(),
    )
    return Report(f"hotsock.{type}", "subscription", channel, _metadata(channel=channel), raw)


def channel_updated(channel: str, subscriptions: int) -> Report:
    raw = _object(name=quote(channel), subscriptionsCount=quote(subscriptions))
    metadata = _metadata(channel=channel)
    return Report("hotsock.channelUpdated", "channel", channel, metadata, raw)


def message_published(
    channel: str,
    event: str,
    id: str,
    data: bytes,
    sender: bytes | None,
    source: Source,
) -> Report:
    """`sender` is the message's `meta`, None where the server published it."""
    raw = _object(channel=quote(channel), event=quote(event), id=quote(id), data=data)
    if sender is not None and sender != NOBODY:
        raw = b'%b,"meta":%b}' % (raw[:-1], sender)
    metadata = _metadata(channel=channel, event=event, requestId=_new_id(), **_asked(source))
    return Report("hotsock.messagePublished", "message", channel, metadata, raw)


def reaction_changed(
    action: str,
    channel: str,
    message_id: str,
    id: str,
    reaction: str,
    uid: str,
    umd: str,
    created_at: datetime,
    expires_at: datetime | None,
    source: Source,
) -> Report:
    """`action` is `add` or `remove`; `id` names the change; `expires_at` is the message's."""
    raw = _object(
        channel=quote(channel),
        messageId=quote(message_id),
        id=quote(id),
        reaction=quote(reaction),
        uid=quote(uid),
        umd=umd.encode(),
        createdAt=_time(created_at),
        expiresAt=_time(expires_at),
    )
    metadata = _metadata(channel=channel, reaction=reaction, requestId=_new_id(), **_asked(source))
    return Report(REACTED[action], "messageReaction", channel, metadata, raw)


def member_changed(type: str, channel: str, uid: str, umd: str, members: bytes) -> Report:
    """`type` is the member event's name; `members` is the list afterwards, JSON."""
    raw = _object(uid=quote(uid), umd=umd.encode(), members=members)
    return Report(type, "channelMember", channel, _metadata(channel=channel), raw)


def storage_updated(
    channel: str,
    key: str,
    data: bytes,
    previous: bytes,
    writer: bytes,
    expires_at: datetime | None,
    source: Source | None,
) -> Report:
    """`data` and `previous` are JSON, `null` where nothing is set; `writer` is the entry's `meta`.
    `source` None: the entry has expired, nobody changed it."""
    raw = _object(
        channel=quote(channel),
        key=quote(key),
        data=data,
        dataPrevious=previous,
        expired=quote(source is None),
        expiresAt=_time(expires_at),
        meta=writer,
    )
    metadata = _metadata(channel=channel, key=key, **_asked(source))
    return Report("hotsock.channelStorageUpdated", "channelStorage", channel, metadata, raw)


NOBODY: Final = meta(None, NOTHING)


def _metadata(**more: str) -> dict[str, str]:
    return {"hotsockVersion": PROTOCOL_VERSION, **more}


def _asked(source: Source | None) -> dict[str, str]:
    """Who asked; "" for what there is none of."""
    return {
        "connectionId": source.connection_id if source else "",
        "sourceIp": source.address if source else "",
        "trigger": source.trigger if source else "",
        "userAgent": source.user_agent if source else "",
    }


def _object(**fields: bytes) -> bytes:
    """An object of these fields, each JSON already."""
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), raw) for name, raw in fields.items())


def _time(moment: datetime | None) -> bytes:
    return quote(None if moment is None else instant(moment))


def _new_id() -> str:
    return ids.new_id(int(time.time() * 1000))

"""Backend events: what the application's own backend is sent (protocol.md section 16). One function
for each line of its table.

Only shapes here. Raw JSON that a client sent is spliced in as it came; the rest is encoded once.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct, json

from chat.protocol import ids
from chat.protocol.events import instant, meta
from chat.protocol.publication import Source

PROTOCOL_VERSION: Final = "1.13.0"
NOBODY: Final = meta(None, "null")
REACTED: Final = {
    "add": "hotsock.messageReactionAdded",
    "remove": "hotsock.messageReactionRemoved",
}

Time = datetime | str
"""A time as the database's driver takes and gives it: SQLite's is text, which compares as text."""


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
        fields = {"source": "hotsock.v1", "type": self.type, "metadata": self.metadata}
        return json.encode({**fields, "data": Raw(self.raw), "dataType": self.data_type})


class ConnectionRow(NamedTuple):
    """What is reported of a connection."""

    id: str
    connected_at: Time
    claims: str
    address: str
    uid: str | None
    umd: str
    user_agent: str


class _KeepAlive(Struct, gc=False, rename="camel"):
    """What is reported of a connect token's claims."""

    keep_alive: bool | None = None


_keep_alive_decoder = json.Decoder(_KeepAlive)


def connection(type: str, row: ConnectionRow, disconnected_at: datetime | None = None) -> Report:
    """`connected`, `disconnected` or `connectionUpdated`."""
    data = {
        "id": row.id,
        "connectedAt": _time(row.connected_at),
        "disconnectedAt": _time(disconnected_at),
        "keepAlive": bool(_keep_alive_decoder.decode(row.claims).keep_alive),
        "sourceIp": row.address,
        "uid": row.uid,
        "umd": Raw(row.umd),
        "userAgent": row.user_agent,
    }
    return _report(f"hotsock.{type}", "connection", data, stream=row.id)


def subscription(type: str, channel: str, connection_id: str, uid: str | None, umd: str) -> Report:
    """`subscribed` or `unsubscribed`; `umd` is JSON text, here and below."""
    data = {"channel": channel, "connectionId": connection_id, "uid": uid, "umd": Raw(umd)}
    return _report(f"hotsock.{type}", "subscription", data, channel=channel)


def channel_updated(channel: str, subscriptions: int) -> Report:
    data = {"name": channel, "subscriptionsCount": subscriptions}
    return _report("hotsock.channelUpdated", "channel", data, channel=channel)


def message_published(
    channel: str, event: str, id: str, data: bytes, sender: bytes | None, source: Source
) -> Report:
    """`sender` is the message's `meta`, None where the server published it."""
    raw: dict[str, object] = {"channel": channel, "event": event, "id": id, "data": Raw(data)}
    if sender is not None and sender != NOBODY:
        raw["meta"] = Raw(sender)
    request = {"event": event, "requestId": _new_id(), **_request(source)}
    return _report("hotsock.messagePublished", "message", raw, channel=channel, **request)


def reaction_changed(
    action: str,
    channel: str,
    message_id: str,
    id: str,
    reaction: str,
    uid: str,
    umd: str,
    created_at: datetime,
    expires_at: Time | None,
    source: Source,
) -> Report:
    """`action` is `add` or `remove`; `id` names the change; `expires_at` is the message's."""
    data = {
        "channel": channel,
        "messageId": message_id,
        "id": id,
        "reaction": reaction,
        "uid": uid,
        "umd": Raw(umd),
        "createdAt": _time(created_at),
        "expiresAt": _time(expires_at),
    }
    request = {"reaction": reaction, "requestId": _new_id(), **_request(source)}
    return _report(REACTED[action], "messageReaction", data, channel=channel, **request)


def member_changed(type: str, channel: str, uid: str, umd: str, members: bytes) -> Report:
    """`type` is the member event's name; `members` is the list afterwards, JSON."""
    data = {"uid": uid, "umd": Raw(umd), "members": Raw(members)}
    return _report(type, "channelMember", data, channel=channel)


def storage_updated(
    channel: str,
    key: str,
    data: bytes | None,
    previous: bytes | None,
    writer: bytes | None,
    expires_at: Time | None,
    source: Source | None,
) -> Report:
    """`data` and `previous` are JSON, None where nothing is set; `writer` is the entry's `meta`.
    `source` None: the entry has expired, nobody changed it."""
    raw = {
        "channel": channel,
        "key": key,
        "data": Raw(data or b"null"),
        "dataPrevious": Raw(previous or b"null"),
        "expired": source is None,
        "expiresAt": _time(expires_at),
        "meta": Raw(writer or b"null"),
    }
    request = {"key": key, **_request(source)}
    return _report(
        "hotsock.channelStorageUpdated", "channelStorage", raw, channel=channel, **request
    )


def _report(
    type: str, data_type: str, data: Mapping[str, object], stream: str = "", **metadata: str
) -> Report:
    stated = {"hotsockVersion": PROTOCOL_VERSION, **metadata}
    return Report(type, data_type, stream or metadata["channel"], stated, json.encode(data))


def _request(source: Source | None) -> dict[str, str]:
    """Where the request came from; "" for what there is none of."""
    return {
        "connectionId": source.connection_id if source else "",
        "sourceIp": source.address if source else "",
        "trigger": source.trigger if source else "",
        "userAgent": source.user_agent if source else "",
    }


def _time(moment: Time | None) -> str | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return None if moment is None else instant(moment)


def _new_id() -> str:
    return ids.new_id(int(time.time() * 1000))

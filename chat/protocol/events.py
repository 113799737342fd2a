"""What the server can say (protocol.md sections 6 to 9 and 17), encoded once. No Django here.

Raw JSON that a client sent (`data`, `umd`) is spliced in as it came: decoding and encoding it
again would turn 2^64 into 1.8446744073709552e+19 (design.md section 4).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from msgspec import Raw, Struct, json

from .errors import ErrorCode

REACTION_EVENTS: Final = {
    "add": "hotsock.messageReactionAdded",
    "remove": "hotsock.messageReactionRemoved",
}
MEMBER_ADDED: Final = "hotsock.memberAdded"
MEMBER_UPDATED: Final = "hotsock.memberUpdated"
MEMBER_REMOVED: Final = "hotsock.memberRemoved"
MAX_ECHOED: Final = 512  # characters of a client's own name that come back in an error
TEXT_FRAME: Final = 0x81  # the last of its message


class Event(Struct, gc=False):
    """One encoded event, shared by all who get it: a WebSocket text frame, which a server does not
    mask (RFC 6455 section 5.2), so that it is ready for every transport."""

    frame: bytes

    @property
    def payload(self) -> bytes:
        """Its JSON."""
        return self.frame[_HEADER_SIZES.get(self.frame[1], 2) :]


def encoded(payload: bytes) -> Event:
    return Event(_frame_header(len(payload)) + payload)


def payloads(joined: bytes) -> Iterator[tuple[int, bytes]]:
    """The text frames that were joined, each with its size."""
    at = 0
    while at < len(joined):
        size, header = joined[at + 1], 2
        if size > 125:
            header = _HEADER_SIZES[size]
            size = int.from_bytes(joined[at + 2 : at + header])
        yield header + size, joined[at + header : at + header + size]
        at += header + size


def _frame_header(size: int) -> bytes:
    if size < 126:
        return bytes((TEXT_FRAME, size))
    if size < 65536:
        return b"%c\x7e%b" % (TEXT_FRAME, size.to_bytes(2))
    return b"%c\x7f%b" % (TEXT_FRAME, size.to_bytes(8))


_HEADER_SIZES: Final = {126: 4, 127: 10}  # by their second byte; else 2

quote = json.encode


def meta(uid: str | None, umd: str) -> bytes:
    """`{"uid":…,"umd":…}`; `umd` is JSON text."""
    return b'{"uid":%b,"umd":%b}' % (quote(uid), umd.encode())


def instant(moment: datetime) -> str:
    """ISO 8601 in UTC to the second, as `connectionExpiresAt` is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _event(event: str, channel: str | None = None, **fields: object) -> Event:
    """`channel` None: it names none."""
    named = {"event": event} if channel is None else {"event": event, "channel": channel}
    return encoded(json.encode({**named, **fields}))


def connected(connection_id: str, secret: str, expires_at: datetime, meta: bytes) -> Event:
    data = {
        "connectionId": connection_id,
        "connectionExpiresAt": instant(expires_at),
        "connectionSecret": secret,
    }
    return _event("hotsock.connected", data=data, meta=Raw(meta))


def subscribed(
    channel: str,
    meta: bytes,
    alias: str | None,
    *,
    auto: bool = False,
    members: bytes | None = None,
    occupancy: int | None = None,
    position: int,
    epoch: str,
    recovered: bool | None = None,
    replayed: int = 0,
) -> Event:
    """`members` is the JSON list of a presence channel's, None on any other; `occupancy` how many
    subscribe, None where that was not asked for; `position` where the channel stands, `epoch` what
    its positions are compared within; `recovered` None: nobody asked (protocol.md section 19)."""
    data: dict[str, object] = {"autoSubscribed": True} if auto else {}
    if members is not None:
        data["members"] = Raw(members)
    if occupancy is not None:
        data["subscriptionsCount"] = occupancy
    data |= {"position": position, "epoch": epoch}
    if recovered is not None:
        data |= {"recovered": True, "replayed": replayed} if recovered else {"recovered": False}
    return _event("hotsock.subscribed", channel, data=data, meta=_with_alias(meta, alias))


def unsubscribed(channel: str, meta: bytes, alias: str | None) -> Event:
    return _event("hotsock.unsubscribed", channel, data={}, meta=_with_alias(meta, alias))


def channel_updated(channel: str, occupancy: int) -> Event:
    """How many subscribe now."""
    return _event("hotsock.channelUpdated", channel, data={"subscriptionsCount": occupancy})


def _with_alias(meta: bytes, alias: str | None) -> Raw:
    return Raw(meta if alias is None else b'%b,"channelAlias":%b}' % (meta[:-1], quote(alias)))


def umd_updated(channel: str | None, meta: bytes) -> Event:
    """`channel` None: the connection's own metadata."""
    return _event("hotsock.umdUpdated", channel, data={}, meta=Raw(meta))


def member(event: str, channel: str, member: bytes, members: bytes) -> Event:
    """One of the three member events; `members` is the JSON list of all, after the change."""
    return _event(event, channel, data={"member": Raw(member), "members": Raw(members)})


PONG: Final = encoded(b'{"event":"hotsock.pong","data":"{}"}')
KEEP_ALIVE: Final = encoded(b'{"event":"hotsock.keepAlive","data":{}}')


def message_json(
    id: str, event: str, channel: str, data: bytes, meta: bytes | None, position: int
) -> bytes:
    """A message as history lists it; `meta` None: the server published it."""
    tail = b"" if meta is None else b',"meta":' + meta
    return b'{"id":"%b%b%b%b%b%d}' % (
        *(id.encode(), _named(event, channel), data, tail),
        *(_POSITION, position),
    )


@lru_cache(maxsize=1024)
def _named(event: str, channel: str) -> bytes:
    return b'","event":%b,"channel":%b,"data":' % (quote(event), quote(channel))


_BEGIN: Final = b'{"id":"'
_BEGINNINGS: Final = tuple(_frame_header(size) + _BEGIN for size in range(1024))
_POSITION: Final = b',"position":'
ID_BYTES: Final = 26  # of a ULID
_NO_META: Final = object()


class Template:
    """The messages of one sender under one event in a channel, of which all is known but their ids
    and data."""

    __slots__ = ("_meta", "_named", "_placed", "_size", "_tail")

    def __init__(self, event: str, channel: str) -> None:
        self._named = _named(event, channel)
        self._meta: object = _NO_META

    def overhead(self, meta: bytes | None) -> int:
        """Bytes of a message but for its data."""
        if meta is not self._meta:
            self._prepare(meta)
        return self._size

    def _prepare(self, meta: bytes | None) -> None:
        """Keeps what only depends on `meta` for the next message. Not for two threads at once."""
        self._meta, self._tail = meta, b"}" if meta is None else b',"meta":%b}' % meta
        self._placed = self._tail[:-1] + _POSITION
        self._size = len(_BEGIN) + ID_BYTES + len(self._named) + len(self._tail)

    def frame(self, id: str, data: bytes, meta: bytes | None) -> bytes:
        """An ephemeral one as a WebSocket frame."""
        if meta is not self._meta:
            self._prepare(meta)
        size = self._size + len(data)
        beginning = _BEGINNINGS[size] if size < len(_BEGINNINGS) else _frame_header(size) + _BEGIN
        return b"".join((beginning, id.encode(), self._named, data, self._tail))

    def stored(self, id: str, data: bytes, meta: bytes | None, position: int) -> bytes:
        """A stored one as a WebSocket frame, with its place in the channel's order."""
        if meta is not self._meta:
            self._prepare(meta)
        number = b"%d}" % position
        size = self._size + len(_POSITION) + len(number) - 1 + len(data)
        beginning = _BEGINNINGS[size] if size < len(_BEGINNINGS) else _frame_header(size) + _BEGIN
        return b"".join((beginning, id.encode(), self._named, data, self._placed, number))


def message(
    id: str, event: str, channel: str, data: bytes, meta: bytes | None, position: int | None = None
) -> Event:
    """`position` None: it is not stored."""
    template = Template(event, channel)
    if position is None:
        return Event(template.frame(id, data, meta))
    return Event(template.stored(id, data, meta, position))


def reaction(
    id: str, channel: str, message_id: str, reaction: str, action: str, meta: bytes, position: int
) -> Event:
    """A reaction added or removed; `id` names this change, `message_id` what was reacted to."""
    fields = {
        "id": id,
        "event": REACTION_EVENTS[action],
        "channel": channel,
        "data": {"messageId": message_id, "reaction": reaction, "action": action},
        "meta": Raw(meta),
        "position": position,
    }
    return encoded(json.encode(fields))


def message_deleted(channel: str, message_id: str, position: int) -> Event:
    data = {"messageId": message_id}
    return _event("hotsock.messageDeleted", channel, position=position, data=data)


def storage_item(key: str, data: bytes | None, meta: bytes | None) -> dict[str, object]:
    """An entry as `channelStorageList` has it. `data` None: unset; `meta` None: unset, or set by
    the server API."""
    return {"key": key, "data": Raw(data or b"null"), "meta": Raw(meta or b"null")}


def storage_data(channel: str, key: str, data: bytes | None, meta: bytes | None) -> Event:
    """What is under a key, for who asked."""
    return _event("hotsock.channelStorageData", channel, **storage_item(key, data, meta))


def storage_updated(
    channel: str, key: str, data: bytes | None, meta: bytes | None, position: int
) -> Event:
    """What is under a key now, for who observes it; `position` is that of its last change."""
    item = storage_item(key, data, meta)
    return _event("hotsock.channelStorageUpdated", channel, **item, position=position)


def ack(channel: str, ack: str, **done: str | int | None) -> Event:
    """`hotsock.ack`; of what is `done` only that is said which is there."""
    told = {name: value for name, value in done.items() if value}
    return _event("hotsock.ack", channel, data={"ack": ack, **told})


def error(
    code: ErrorCode, message: str, event: str | None, channel: str | None, ack: str | None = None
) -> Event:
    """`hotsock.error`; `event`, `channel` and `ack` as the client sent them, where it sent any, but
    for what is too long to be a name."""
    error = {"code": code, "message": message}
    if event is not None:
        error["event"] = event[:MAX_ECHOED]
    if ack is not None:
        error["ack"] = ack
    return _event("hotsock.error", channel and channel[:MAX_ECHOED], error=error)

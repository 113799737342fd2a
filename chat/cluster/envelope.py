"""What processes send each other: items of channels, and what nodes tell each other, in messages of
the channel layer that carry a version."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from chat.fanout.announcements import Announcement, Change, Ephemeral
from chat.protocol.events import Event, payloads

VERSION: Final = 1  # raised when processes of the version before could not read it
EVERYBODY: Final = "everybody"

Entry = list[Any]
Message = dict[str, Any]


def message(entries: list[Entry], sender: str = "") -> Message:
    """What goes over the channel layer; `sender` is a node's id, "" for a process that serves
    nobody."""
    return {"type": "chat", "v": VERSION, "from": sender, "entries": entries}


def group_of(channel: str) -> str:
    """Group names are limited to 100 ASCII characters."""
    return f"c.{hashlib.blake2b(channel.encode(), digest_size=20).hexdigest()}"


def group_of_node(id: str) -> str:
    return f"n.{id}"


def encode(announcement: Announcement) -> list[Entry]:
    if isinstance(announcement, Change):
        change = announcement
        tail = [change.channel, change.previous, change.event.payload, change.origin, change.echo]
        return [["change", *tail, change.number, change.key]]
    channel, previous = announcement.channel, announcement.previous
    return [
        ["passing", channel, previous, payload, announcement.origin, announcement.echo]
        for frame in announcement.frames
        for _, payload in payloads(frame)
    ]


def _change(
    channel: str,
    previous: int,
    payload: bytes,
    origin: str | None,
    echo: bool,
    number: int,
    key: str | None,
) -> Change:
    return Change(channel, previous, number, Event(payload), origin, echo, key)


def _ephemeral(
    channel: str, previous: int, payload: bytes, origin: str | None, echo: bool
) -> Ephemeral:
    return Ephemeral(channel, previous, [Event(payload).frame], origin, echo)


DECODERS: Final[dict[str, Callable[..., Announcement]]] = {"change": _change, "passing": _ephemeral}

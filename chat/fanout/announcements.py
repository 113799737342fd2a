"""What is announced: a durable change with its place in its channel's order, or a passing message.

Only shapes here. `follows` is the number of the change that must be delivered first.
"""

import sys
from collections.abc import Iterator
from typing import ClassVar, Final

from msgspec import Struct

from chat.protocol.events import Event

EVERY_HEAD: Final = sys.maxsize


class Change(Struct, frozen=True, gc=False):
    """A committed change. `follows` and `number` are its channel's numbers before and after.

    `origin` is the connection that caused it, None where none did; it gets the event only with
    `echo`. With `key`, only those who observe this storage entry get it.
    """

    channel: str
    follows: int
    number: int
    event: Event
    origin: str | None = None
    echo: bool = False
    key: str | None = None

    @property
    def place(self) -> int:
        """A subscriber gets it where this is above the head at which it subscribed."""
        return self.number


class Ephemeral(Struct, frozen=True, gc=False):
    """A message that is not stored. `follows` is the number of the last change that its sender
    caused in the channel, behind which it stays (design.md section 3, P4)."""

    place: ClassVar[int] = EVERY_HEAD
    key: ClassVar[None] = None

    channel: str
    follows: int
    event: Event
    origin: str | None = None
    echo: bool = False


Announcement = Change | Ephemeral


class Burst(Struct, frozen=True, gc=False):
    """Messages of one sender that are not stored, one right behind the other, as WebSocket frames:
    who gets one gets them all."""

    channel: str
    follows: int
    frames: list[bytes]
    origin: str | None = None
    echo: bool = False

    def items(self) -> Iterator[Ephemeral]:
        """Each alone."""
        for frame in self.frames:
            yield Ephemeral(self.channel, self.follows, Event(None, frame), self.origin, self.echo)

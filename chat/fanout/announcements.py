"""What is announced in a channel: a durable change with its place in the channel's order, or
ephemeral messages. `previous` is the number that must have been delivered before. Shapes only.
"""

from typing import Final

from msgspec import Struct

from chat.protocol.events import Event

BYTES_OF_ANNOUNCEMENT: Final = 500  # beside its frames


class Change(Struct, frozen=True, gc=False):
    """A committed change. `previous` and `number` are its channel's sequence numbers before and
    after it.

    `origin` is the connection that caused it, None where none did; it gets the event only with
    `echo`. With `key`, only those who observe this storage entry get it.
    """

    channel: str
    previous: int
    number: int
    event: Event
    origin: str | None = None
    echo: bool = False
    key: str | None = None

    @property
    def size(self) -> int:
        """About the bytes of memory that it takes while it waits."""
        return BYTES_OF_ANNOUNCEMENT + len(self.event.frame)


class Ephemeral(Struct, frozen=True, gc=False):
    """Messages of one sender that are not stored, as ready WebSocket frames: who gets one gets all.

    `previous` is the number of the last change that their sender caused in the channel; they stay
    behind it (design.md section 3, P4).
    """

    channel: str
    previous: int
    frames: list[bytes]
    origin: str | None = None
    echo: bool = False

    @property
    def size(self) -> int:
        """About the bytes of memory that they take while they wait."""
        return BYTES_OF_ANNOUNCEMENT * len(self.frames) + sum(map(len, self.frames))


Announcement = Change | Ephemeral

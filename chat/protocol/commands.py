"""What a client can ask for, once its frame has been found to be well formed. Only shapes here."""

from datetime import datetime
from typing import Literal

from msgspec import Struct


class Command(Struct, frozen=True, gc=False):
    """A well-formed request; whether it is permitted is `session`'s to say."""


class Ping(Command, frozen=True, gc=False):
    pass


class Pong(Command, frozen=True, gc=False):
    pass


class Heartbeat(Command, frozen=True, gc=False):
    pass


class Subscribe(Command, frozen=True, gc=False):
    channel: str
    token: str | None = None


class Unsubscribe(Command, frozen=True, gc=False):
    channel: str


class React(Command, frozen=True, gc=False):
    channel: str
    message_id: str
    reaction: str
    action: Literal["add", "remove"]


class Publish(Command, frozen=True, gc=False):
    """`data` is the raw JSON that the client sent, checked but not parsed; `at` is when it is to
    be published, None: now."""

    channel: str
    event: str
    data: bytes
    at: datetime | None = None


class UpdateUmd(Command, frozen=True, gc=False):
    """`channel` None: the connection's own metadata."""

    token: str
    channel: str | None = None


class GetStorage(Command, frozen=True, gc=False):
    channel: str
    key: str


class SetStorage(Command, frozen=True, gc=False):
    """`data` is raw JSON, checked but not parsed; None clears. `at` as in Publish."""

    channel: str
    key: str
    data: bytes | None
    at: datetime | None = None

"""What a client can ask for, and a row of DECODERS for each event of the server's own, from frame
to command. Never acts; whether a command is permitted is `session`'s to say. No Django here."""

import re
from collections.abc import Callable, Container
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tokens.names import is_channel_name, is_event_name, is_reaction, is_storage_key, is_uid

from . import schedule
from .errors import ErrorCode, ProtocolError
from .frames import NULL, Ack, Fields, ack_of, convert, due, malformed, valid_data

MESSAGE_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
MAX_EPOCH: Final = 32  # characters
CLEARING: Final = re.compile(rb"null|\{\s*\}")  # a storage entry (protocol.md section 12)


class Command(Struct, frozen=True, gc=False):
    """A well-formed request."""


class Ping(Command, frozen=True, gc=False):
    pass


class Pong(Command, frozen=True, gc=False):
    pass


class Heartbeat(Command, frozen=True, gc=False):
    pass


class Subscribe(Command, frozen=True, gc=False):
    """`occupancy`: it is to be told how many subscribe. With `since` it recovers what changed after
    that position of the channel's `epoch` (protocol.md section 19)."""

    channel: str
    token: str | None = None
    occupancy: bool = False
    since: int | None = None
    epoch: str | None = None


class Unsubscribe(Command, frozen=True, gc=False):
    channel: str


class React(Command, frozen=True, gc=False):
    channel: str
    message_id: str
    reaction: str
    action: Literal["add", "remove"]
    ack: Ack | None = None


class Publish(Command, frozen=True, gc=False):
    """`data` is the raw JSON that the client sent, checked but not parsed; `at` is when it is to
    be published, None: now."""

    channel: str
    event: str
    data: bytes
    at: datetime | None = None
    ack: Ack | None = None


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
    ack: Ack | None = None


# --- decoding -----------------------------------------------------------------------------------


class TokenData(Struct, gc=False):
    token: str | None = None


class SubscribeData(TokenData, gc=False):
    occupancy: bool | None = None
    since: Annotated[int, Meta(ge=0)] | None = None
    epoch: Annotated[str, Meta(max_length=MAX_EPOCH)] | None = None


class ReactionData(Struct, gc=False, rename="camel"):
    message_id: str
    reaction: str
    action: str


_token_decoder = msgspec.json.Decoder(TokenData)
_subscribe_decoder = msgspec.json.Decoder(SubscribeData)
_reaction_decoder = msgspec.json.Decoder(ReactionData)


def decode(frame: Fields, known: Container[str] | None = None) -> Command:
    """The command that a frame asks for; raises ProtocolError. `known`: the events of our own that
    can be asked for, None: all."""
    decoder = DECODERS.get(frame.event) if known is None or frame.event in known else None
    if decoder is not None:
        return decoder(frame)
    if frame.event.startswith("hotsock."):
        raise ProtocolError(ErrorCode.UNKNOWN_EVENT, f'There is no event "{frame.event[:128]}".')
    channel, event = valid_channel(frame.channel), valid_event(frame.event)
    return Publish(channel, event, valid_data(frame.data), due(frame), ack_of(frame))


# --- names --------------------------------------------------------------------------------------


def valid_channel(name: str | None) -> str:
    """The name of a channel as the client sent it; raises INVALID_CHANNEL_NAME."""
    if name is None or not is_channel_name(name):
        raise ProtocolError(
            ErrorCode.INVALID_CHANNEL_NAME,
            "channel must be a name of 1 to 256 characters without *, #, commas or white space.",
        )
    return name


def valid_event(name: str) -> str:
    """The name under which a message is published; raises INVALID_EVENT_NAME."""
    if not is_event_name(name):
        raise ProtocolError(
            ErrorCode.INVALID_EVENT_NAME,
            "event must be a name of 1 to 128 characters that holds no * and does not start "
            "with # or what reads as hotsock.",
        )
    return name


def valid_key(key: str | None, field: str = "key") -> str:
    """A storage key; raises INVALID_STORAGE_KEY."""
    if key is None or not is_storage_key(key):
        raise ProtocolError(
            ErrorCode.INVALID_STORAGE_KEY,
            f"{field} must have 1 to 128 characters, without *, #, commas or white space.",
        )
    return key


def valid_uid(uid: str) -> str:
    """Who is meant by the server API; raises INVALID_REQUEST."""
    if not uid or not is_uid(uid):
        raise ProtocolError(ErrorCode.INVALID_REQUEST, "uid must be text of 1 to 128 characters.")
    return uid


# --- events -------------------------------------------------------------------------------------


def _token(frame: Fields) -> str | None:
    return None if frame.data == NULL else convert(frame.data, _token_decoder, "data").token


def subscribe(frame: Fields) -> Subscribe:
    channel = valid_channel(frame.channel)
    if frame.data == NULL:
        return Subscribe(channel)
    data = convert(frame.data, _subscribe_decoder, "data")
    return Subscribe(channel, data.token, bool(data.occupancy), data.since, data.epoch)


def react(frame: Fields) -> React:
    channel = valid_channel(frame.channel)
    if frame.schedule_expression is not None:
        raise schedule.invalid("A reaction cannot be scheduled.")
    data = convert(frame.data, _reaction_decoder, "data")
    if data.action not in ("add", "remove"):
        raise malformed('data.action must be "add" or "remove".')
    if not is_reaction(data.reaction):
        raise ProtocolError(
            ErrorCode.INVALID_REACTION,
            "data.reaction must not be blank, hold no # and take at most 100 bytes of UTF-8.",
        )
    what = data.message_id, data.reaction, data.action
    return React(channel, *what, ack_of(frame))  # type: ignore[arg-type]


def umd_update(token: str | None, channel: str | None) -> UpdateUmd:
    """Raises INVALID_UMD_TOKEN where there is no token, INVALID_CHANNEL_NAME."""
    if channel is not None:
        valid_channel(channel)
    if not token:
        raise ProtocolError(ErrorCode.INVALID_UMD_TOKEN, "A token of scope umd is required.")
    return UpdateUmd(token, channel)


def get_storage(channel: str | None, key: str | None) -> GetStorage:
    return GetStorage(valid_channel(channel), valid_key(key))


def set_storage(frame: Fields) -> SetStorage:
    channel, key, data = valid_channel(frame.channel), valid_key(frame.key), valid_data(frame.data)
    value = None if CLEARING.fullmatch(data) else data
    return SetStorage(channel, key, value, due(frame), ack_of(frame))


DECODERS: dict[str, Callable[[Fields], Command]] = {
    "hotsock.subscribe": subscribe,
    "hotsock.unsubscribe": lambda frame: Unsubscribe(valid_channel(frame.channel)),
    "hotsock.ping": lambda frame: Ping(),
    "hotsock.pong": lambda frame: Pong(),
    "hotsock.heartbeat": lambda frame: Heartbeat(),
    "hotsock.messageReaction": react,
    "hotsock.umdUpdate": lambda frame: umd_update(_token(frame), frame.channel),
    "hotsock.channelStorageGet": lambda frame: get_storage(frame.channel, frame.key),
    "hotsock.channelStorageSet": set_storage,
}

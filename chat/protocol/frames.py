"""Text to command. Says precisely what is wrong with a frame; never acts. No Django here."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from tokens.names import is_channel_name, is_event_name, is_reaction

from . import jsontext
from .commands import Command, Heartbeat, Ping, Pong, Publish, React, Subscribe, Unsubscribe
from .errors import ErrorCode, ProtocolError

MAX_FRAME_BYTES: Final = 128 * 1024
RESERVED: Final = "hotsock."
NULL: Final = Raw(b"null")
MESSAGE_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")

_Shape = TypeVar("_Shape", bound=Struct)


class Frame(Struct, gc=False, rename="camel"):
    """A client's frame, or the body of `publishMessage`: the same fields."""

    event: str
    channel: str | None = None
    data: Raw = NULL
    key: str | None = None
    schedule_expression: str | None = None
    schedule_expression_timezone: str | None = None


class Outline(Struct, gc=False):
    """What any frame is about, whatever is wrong with it."""

    event: object = None
    channel: object = None


class SubscribeData(Struct, gc=False):
    token: str | None = None


class ReactionData(Struct, gc=False, rename="camel"):
    message_id: str
    reaction: str
    action: str


def malformed(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_MESSAGE, message)


def convert(raw: str | bytes, decoder: "msgspec.json.Decoder[_Shape]", what: str) -> _Shape:
    """Decodes `raw`, or raises INVALID_MESSAGE with a sentence that names the field."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise malformed(_shape_sentence(what, str(error))) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise malformed(f"{what} is not valid JSON: {error}.") from None
    except RecursionError:
        raise malformed(f"{what} is nested more than {jsontext.MAX_DEPTH} levels deep.") from None


def _shape_sentence(what: str, error: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.channel`", as a sentence about `what`."""
    problem, _, path = error.partition(" - at `$")
    where = f"{what}, field {path.rstrip('`').lstrip('.')}" if path else what
    return f"{where}: {problem[0].lower()}{problem[1:]}."


_frame_decoder = msgspec.json.Decoder(Frame)
_outline_decoder = msgspec.json.Decoder(Outline)
_subscribe_decoder = msgspec.json.Decoder(SubscribeData)
_reaction_decoder = msgspec.json.Decoder(ReactionData)


def oversize(sent: str | bytes) -> bool:
    """Whether a whole frame takes more than 128 KiB."""
    if isinstance(sent, bytes):
        return len(sent) > MAX_FRAME_BYTES
    return len(sent) * 4 > MAX_FRAME_BYTES and len(sent.encode()) > MAX_FRAME_BYTES


def read(text: str, decoder: "msgspec.json.Decoder[_Shape]", what: str) -> _Shape:
    """As `convert`, for all that a client sent at once: it may hold no NUL anywhere."""
    shape = convert(text, decoder, what)
    if jsontext.holds_nul(text):
        raise malformed(f"{what} holds the character NUL (\\u0000), which cannot be stored.")
    return shape


def parse(text: str, what: str = "The frame") -> Frame:
    """The fields of a frame, each of the right type; raises INVALID_MESSAGE."""
    frame = read(text, _frame_decoder, what)
    if jsontext.too_deep(bytes(frame.data)):
        raise malformed(f"data is nested more than {jsontext.MAX_DEPTH} levels deep.")
    return frame


def outline(text: str) -> tuple[str | None, str | None]:
    """The event and the channel of a frame that `parse` refused, where they can be read: its
    sender is told which event failed (protocol.md section 17)."""
    try:
        about = _outline_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None, None
    event, channel = about.event, about.channel
    return event if isinstance(event, str) else None, channel if isinstance(channel, str) else None


def decode(frame: Frame) -> Command:
    """The command that a frame asks for; raises ProtocolError."""
    decoder = DECODERS.get(frame.event)
    if decoder is not None:
        return decoder(frame)
    if frame.event.startswith(RESERVED):
        raise ProtocolError(ErrorCode.UNKNOWN_EVENT, f'There is no event "{frame.event[:128]}".')
    return _publish(frame)


def valid_channel(name: str | None) -> str:
    """The name of a channel as the client sent it; raises INVALID_CHANNEL_NAME."""
    if name is None or not is_channel_name(name):
        raise ProtocolError(
            ErrorCode.INVALID_CHANNEL_NAME,
            "channel must be a name of 1 to 256 characters without *, #, commas or white space.",
        )
    return name


def _publish(frame: Frame) -> Publish:
    channel = valid_channel(frame.channel)
    if not is_event_name(frame.event):
        raise ProtocolError(
            ErrorCode.INVALID_EVENT_NAME,
            "event must be a name of 1 to 128 characters that holds no * and does not start "
            "with # or hotsock.",
        )
    data = bytes(frame.data)
    if jsontext.too_large(data):
        raise ProtocolError(
            ErrorCode.DATA_TOO_LARGE, f"data takes more than {jsontext.MAX_DATA_BYTES} bytes."
        )
    if frame.schedule_expression is not None:
        raise ProtocolError(
            ErrorCode.INVALID_SCHEDULE_EXPRESSION,
            "scheduleExpression: this server does not schedule messages.",
        )
    return Publish(channel, frame.event, data)


def _subscribe(frame: Frame) -> Subscribe:
    channel = valid_channel(frame.channel)
    if frame.data == NULL:
        return Subscribe(channel)
    return Subscribe(channel, convert(frame.data, _subscribe_decoder, "data").token)


def _unsubscribe(frame: Frame) -> Unsubscribe:
    return Unsubscribe(valid_channel(frame.channel))


def _react(frame: Frame) -> React:
    channel = valid_channel(frame.channel)
    data = convert(frame.data, _reaction_decoder, "data")
    if data.action not in ("add", "remove"):
        raise malformed('data.action must be "add" or "remove".')
    if not is_reaction(data.reaction):
        raise ProtocolError(
            ErrorCode.INVALID_REACTION,
            "data.reaction must not be blank, hold no # and take at most 100 bytes of UTF-8.",
        )
    return React(channel, data.message_id, data.reaction, data.action)  # type: ignore[arg-type]


def _constant(command: Command) -> Callable[[Frame], Command]:
    return lambda frame: command


DECODERS: dict[str, Callable[[Frame], Command]] = {
    "hotsock.subscribe": _subscribe,
    "hotsock.unsubscribe": _unsubscribe,
    "hotsock.ping": _constant(Ping()),
    "hotsock.pong": _constant(Pong()),
    "hotsock.heartbeat": _constant(Heartbeat()),
    "hotsock.messageReaction": _react,
}

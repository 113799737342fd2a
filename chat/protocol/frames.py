"""Text to frame: fields of the right type, or a sentence that names the one that is not. No Django
here."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from . import jsontext
from .errors import ErrorCode, ProtocolError

MAX_FRAME_BYTES: Final = 128 * 1024
UNDECODED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
NULL: Final = Raw(b"null")
SURELY_SHALLOW: Final = 2 * jsontext.MAX_DEPTH
"""Characters of valid JSON that cannot be nested too deep: each level opens and closes."""


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


def malformed(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_MESSAGE, message)


def convert[S: Struct](raw: str | bytes, decoder: msgspec.json.Decoder[S], what: str) -> S:
    """Decodes `raw`, or raises INVALID_MESSAGE with a sentence that names the field."""
    try:
        return decoder.decode(raw)
    except UNDECODED as error:
        raise _undecoded(error, what) from None


def _undecoded(error: Exception, what: str) -> ProtocolError:
    if isinstance(error, msgspec.ValidationError):
        # such as "Expected `str`, got `int` - at `$.channel`"
        problem, _, path = str(error).partition(" - at `$")
        where = f"{what}, field {path.rstrip('`').lstrip('.')}" if path else what
        return malformed(f"{where}: {problem[0].lower()}{problem[1:]}.")
    if isinstance(error, RecursionError):
        return malformed(f"{what} is nested more than {jsontext.MAX_DEPTH} levels deep.")
    return malformed(f"{what} is not valid JSON: {error}.")


_frame_decoder = msgspec.json.Decoder(Frame)
_outline_decoder = msgspec.json.Decoder(Outline)


def oversize(sent: str | bytes) -> bool:
    """Whether a whole frame takes more than 128 KiB."""
    if isinstance(sent, bytes):
        return len(sent) > MAX_FRAME_BYTES
    return len(sent) * 4 > MAX_FRAME_BYTES and len(sent.encode()) > MAX_FRAME_BYTES


def read[S: Struct](text: str, decoder: msgspec.json.Decoder[S], what: str) -> S:
    """As `convert`, for all that a client sent at once: it holds no NUL, and a frame's `data` is
    not nested too deep."""
    try:
        shape = decoder.decode(text)
    except UNDECODED as error:
        raise _undecoded(error, what) from None
    if "\\u0000" in text and jsontext.holds_nul(text):
        raise malformed(f"{what} holds the character NUL (\\u0000), which cannot be stored.")
    long = len(text) > SURELY_SHALLOW
    if long and isinstance(shape, Frame) and jsontext.too_deep(bytes(shape.data)):
        raise malformed(f"data is nested more than {jsontext.MAX_DEPTH} levels deep.")
    return shape


def parse(text: str) -> Frame:
    """The fields of a frame, each of the right type; raises INVALID_MESSAGE."""
    return read(text, _frame_decoder, "The frame")


def outline(sent: str | bytes) -> tuple[str | None, str | None]:
    """The event and the channel of a frame that was refused, where they can be read: its sender is
    told which event failed (protocol.md section 17). Bytes, a binary frame, have none."""
    if isinstance(sent, bytes):
        return None, None
    try:
        about = _outline_decoder.decode(sent)
    except UNDECODED:
        return None, None
    event, channel = about.event, about.channel
    return event if isinstance(event, str) else None, channel if isinstance(channel, str) else None

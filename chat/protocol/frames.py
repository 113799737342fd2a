"""What a client may send, at what rate, and text to frame: fields of the right type, or a sentence
that names the one that is not. No Django and no clock here."""

import re
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from tokens import strict_json
from tokens.names import MAX_DATA_BYTES

from . import jsontext, schedule
from .errors import ErrorCode, ProtocolError

MAX_FRAME_BYTES: Final = 128 * 1024
UNDECODED: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
NULL: Final = Raw(b"null")
QUOTE: Final = ord('"')
BURST_SECONDS: Final = 10.0
# What a frame, or a call of this name, costs in units of work. A unit is what a subscription costs
# the server, some 0.7 ms; so is UNIT_BYTES of a large frame or of an answer. All others cost none.
COSTS: Final = {
    "hotsock.subscribe": 1,
    "hotsock.unsubscribe": 1,
    "hotsock.channelStorageGet": 1,
    "hotsock.umdUpdate": 1,
    "channelStorageGet": 1,
    "channelStorageList": 3,
    "getChannelInfo": 2,
    "listMessages": 3,
    "listReactions": 2,
    "umdUpdate": 1,
    "recovery": 3,  # what it adds to a subscription
}
CHANGE_BYTES: Final = 1024  # a change that a recovery looks at costs as much as so many sent
UPDATE_COST: Final = 1 / 16  # of each subscription that an update of metadata may change
UNIT_BYTES: Final = 64 * 1024
WORK_SECONDS: Final = 40.0
MAX_RATES: Final = 2_000  # who asks often is among them, however many there are
SURELY_SHALLOW: Final = 2 * jsontext.MAX_DEPTH
"""Characters of valid JSON that cannot be nested too deep: each level opens and closes."""
DIGEST_BYTES: Final = 16
ACK: Final = r"\A[A-Za-z0-9_-]{16,64}\Z"
_ack: Final = re.compile(ACK)


class Fields(Struct, gc=False, rename="camel"):
    """What anybody may say of an operation."""

    event: str
    channel: str | None = None
    data: Raw = NULL
    key: str | None = None
    schedule_expression: str | None = None
    schedule_expression_timezone: str | None = None


class Frame(Fields, gc=False, rename="camel"):
    """A client's frame, or the body of `publishMessage`: the same fields."""

    ack: Annotated[str, Meta(pattern=ACK)] | None = None


class Ack(Struct, frozen=True, gc=False):
    """Asks to do an operation once, and to be told (protocol.md section 19): `name` is the client's
    own for it, `digest` tells what it sent from anything else."""

    name: str
    digest: str


class Outline(Struct, gc=False):
    """What any frame is about, whatever is wrong with it."""

    event: object = None
    channel: object = None
    ack: object = None


About = tuple[str | None, str | None, str | None]
"""The event, the channel and the ack of a frame, as its sender is told of a refusal."""
NOTHING_KNOWN: Final[About] = (None, None, None)


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
    _check(text, shape, what)
    return shape


def _check(text: str, shape: Struct, what: str) -> None:
    if "\\u0000" in text and jsontext.holds_nul(text):
        raise malformed(f"{what} holds the character NUL (\\u0000), which cannot be stored.")
    long = len(text) > SURELY_SHALLOW
    if long and isinstance(shape, Fields) and jsontext.too_deep(bytes(shape.data)):
        raise malformed(f"data is nested more than {jsontext.MAX_DEPTH} levels deep.")


def parse(text: str) -> Frame:
    """The fields of a frame, each of the right type; raises INVALID_MESSAGE. As `read`,
    without its call: 45 ns less for each message."""
    try:
        frame = _frame_decoder.decode(text)
    except UNDECODED as error:
        raise _undecoded(error, "The frame") from None
    if len(text) > SURELY_SHALLOW or "\\u0000" in text:
        _check(text, frame, "The frame")
    return frame


def valid_data(raw: Raw, what: str = "data") -> bytes:
    """The raw JSON that others will read; raises DATA_TOO_LARGE, and INVALID_MESSAGE where common
    parsers fail on one of its numbers."""
    data = bytes(raw)
    if len(data) > MAX_DATA_BYTES and jsontext.too_large(data):
        raise ProtocolError(
            ErrorCode.DATA_TOO_LARGE, f"{what} takes more than {MAX_DATA_BYTES} bytes."
        )
    if data[0] != QUOTE and strict_json.holds_huge_number(data):
        raise malformed(f"{what} {strict_json.HUGE}.")
    return data


def ack_of(frame: Fields) -> Ack | None:
    """None where it asks for none; the server's own operations never do."""
    if not isinstance(frame, Frame) or frame.ack is None:
        return None
    expression, zone = frame.schedule_expression, frame.schedule_expression_timezone
    about = msgspec.json.encode((frame.event, frame.key, expression, expression and zone))
    return Ack(frame.ack, blake2b(about + bytes(frame.data), digest_size=DIGEST_BYTES).hexdigest())


def due(frame: Fields) -> datetime | None:
    """When what the frame asks for is to be done; None: now. Raises
    INVALID_SCHEDULE_EXPRESSION."""
    if frame.schedule_expression is None:
        return None
    return schedule.instant(frame.schedule_expression, frame.schedule_expression_timezone)


def outline(sent: str | bytes) -> About:
    """What a frame that was refused is about, where that can be read: its sender is told which one
    failed (protocol.md section 17). Bytes, a binary frame, say nothing."""
    if isinstance(sent, bytes):
        return NOTHING_KNOWN
    try:
        said = _outline_decoder.decode(sent)
    except UNDECODED:
        return NOTHING_KNOWN
    event, channel, ack = (
        value if isinstance(value, str) else None for value in (said.event, said.channel, said.ack)
    )
    return event, channel, ack if ack is not None and _ack.match(ack) else None


class Rate:
    """A token bucket: allows `per_second` units in the mean, BURST_SECONDS' worth or that of
    `burst_seconds` at once; 0: no limit.

    A connection that sends at most five times `per_second` frames in any 10 s is never limited
    (protocol.md section 17: 500 frames with the default of 100).
    """

    __slots__ = ("_burst", "_full_at", "_interval", "refused")

    def __init__(self, per_second: float, burst_seconds: float = BURST_SECONDS) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = burst_seconds
        self._full_at = 0.0  # when the bucket will be full again, by the caller's clock
        self.refused = 0  # how often, since the bucket was last full

    def allows(self, now: float, units: float = 1) -> bool:
        """Takes so many at `now` (seconds of any steady clock), or refuses."""
        full_at = self._full_at
        if full_at <= now:
            self.refused = 0
            full_at = now
        full_at += self._interval * units
        if full_at - now > self._burst:
            self.refused += 1
            return False
        self._full_at = full_at
        return True

    def add(self, units: float) -> None:
        """What was taken has cost so many more, or less."""
        self._full_at += self._interval * units


@lru_cache(MAX_RATES)
def rate_of(name: str, per_second: int) -> Rate:
    """The Rate of a name, for the MAX_RATES names that were seen last."""
    return Rate(per_second)


@lru_cache(MAX_RATES)
def work_of(connection_id: str, per_second: int) -> Rate:
    """The budget of work, in units, of one of the MAX_RATES connections that did some last: half
    as many a second as frames, 2,000 at once with the default of 100.

    So 1,000 subscriptions and a page of history for each of 100 channels are free after connecting;
    50 units a second are some 4 % of a core.
    """
    return Rate(per_second / 2, WORK_SECONDS)


def cost(name: str, channel: str | None, subscriptions: int) -> float:
    """The units of a frame or a call, of a connection with so many subscriptions. Without a channel
    only an update of metadata is no mistake: it may be one of all of them."""
    if channel is not None:
        return COSTS.get(name, 0)
    return 1 + subscriptions * UPDATE_COST if name.endswith("umdUpdate") else 0

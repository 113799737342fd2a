"""WebSocket frames (RFC 6455 section 5): a client's bytes become events, the server's events become
bytes. Pure: no socket, no event loop, no clock."""

import codecs
from dataclasses import dataclass
from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode

Buffer = bytes | bytearray | memoryview
Utf8Decoder = codecs.getincrementaldecoder("utf-8")


def xor(data: Buffer, mask: bytes | bytearray) -> bytes:
    """Apply a mask of four bytes; the same call takes it off again."""
    repeated = (bytes(mask) * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(len(data))


try:  # in C, 0.1 µs; not part of the library's public interface
    from websockets.speedups import apply_mask
except ImportError:
    apply_mask = xor

# Of the first byte of a frame: the last one of its message, reserved bits, its kind.
FIN, RESERVED, OPCODE, CONTROL = 0x80, 0x70, 0x0F, 0x08
MASKED: Final = 0x80  # of the second; the rest of it is the size, where that is below 126
MASK_BYTES: Final = 4
MAX_CONTROL_BYTES: Final = 125
WHOLE_TEXT: Final = FIN | Opcode.TEXT
TURN_FRAMES: Final = 64  # of one socket are handled; then the others come


@dataclass(eq=False)
class FrameError(Exception):
    """The client broke the protocol; the connection ends with this code and reason."""

    code: int
    reason: str


Event = list[str] | bytes | Frame | Close
"""Text messages, one binary message, a frame that is no message (a ping, a pong, FRAGMENT), or the
client's close frame."""
FRAGMENT: Final = Frame(Opcode.CONT, b"")  # of a message that is not whole yet


def take_texts(data: bytes, at: int, texts: list[str], max_size: int) -> int:
    """Append the whole, unfragmented text messages from `at` on, TURN_FRAMES at most; return where
    they end. Stops before anything else: a FrameReader reads that."""
    end = len(data)
    for _ in range(TURN_FRAMES - len(texts)):
        start = at + 6
        if start > end or data[at] != WHOLE_TEXT:
            break
        size = data[at + 1] - MASKED
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : start - 4])
            if size > max_size:
                break
        elif size < 0:
            break
        stop = start + size
        if stop > end:
            break
        try:
            texts.append(apply_mask(data[start:stop], data[start - 4 : start]).decode())
        except UnicodeDecodeError:
            break
        at = stop
    return at


@dataclass(slots=True, eq=False)
class FrameReader:
    """Reads frames however TCP cut and joined them: `feed` it bytes, then call `next` until it
    returns None.

    Payload is unmasked and checked as it comes: a frame that is too long is refused at its header,
    text that is not UTF-8 at its first wrong byte.
    """

    max_size: int  # bytes of a message, of all its fragments together
    data: bytes = b""
    at: int = 0
    message: bytearray | None = None  # what has come of it; None between messages
    decoder: codecs.IncrementalDecoder | None = None  # checks the message, where it is text
    mask: bytes = b""  # of the frame whose payload is coming; empty between frames
    left: int = 0  # bytes of payload that it lacks
    fin: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing has begun, so that a new reader would do as well."""
        return self.message is None and self.at == len(self.data)

    def feed(self, data: bytes) -> None:
        self.data = self.data[self.at :] + data
        self.at = 0

    def next(self) -> Event | None:
        """The next event, of one frame or of texts in a row; None until more bytes come. Raises
        FrameError, after which nothing that the client sends means anything."""
        if self.at == len(self.data):
            return None
        if not self.mask:
            if self.message is None:
                texts: list[str] = []
                self.at = take_texts(self.data, self.at, texts, self.max_size)
                if texts:
                    return texts
            header = self._header()
            if header is None:
                return None
            first, start, size = header
            if first & CONTROL:
                return self._control(first & OPCODE, start, start + size)
            if self.message is None:
                self.message = bytearray()
                self.decoder = Utf8Decoder() if first & OPCODE == Opcode.TEXT else None
            self.mask = self.data[start - MASK_BYTES : start]
            self.at, self.left, self.fin = start, size, first >= FIN
        return self._take_payload()

    def _header(self) -> tuple[int, int, int] | None:
        """The next frame's first byte, where its payload starts, and its size; None until all of
        that has come."""
        data, at = self.data, self.at
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        problem = _problem(first, second, begun=self.message is not None)
        if problem is not None:
            raise FrameError(CloseCode.PROTOCOL_ERROR, problem)
        start, size = at + 2, second - MASKED
        if size > MAX_CONTROL_BYTES:
            start += 2 if size == 126 else 8
            if len(data) < start:
                return None
            size = int.from_bytes(data[at + 2 : start])
        read = len(self.message or b"")
        if read + size > self.max_size:
            before = f"after reading {read} bytes " if read else ""
            problem = f"frame with {size} bytes {before}exceeds limit of {self.max_size} bytes"
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, problem)
        start += MASK_BYTES
        return (first, start, size) if len(data) >= start else None

    def _control(self, opcode: int, start: int, stop: int) -> Event | None:
        if stop > len(self.data):
            return None
        payload = apply_mask(self.data[start:stop], self.data[start - MASK_BYTES : start])
        self.at = stop
        if opcode != Opcode.CLOSE:
            return Frame(Opcode(opcode), payload)
        try:
            return Close.parse(payload)
        except ProtocolError as error:
            raise FrameError(CloseCode.PROTOCOL_ERROR, str(error)) from None
        except UnicodeDecodeError as error:
            problem = f"{error.reason} at position {error.start}"
            raise FrameError(CloseCode.INVALID_DATA, problem) from None

    def _take_payload(self) -> Event | None:
        """Add what has come of the frame; return the message where it is complete, FRAGMENT where
        only the frame is."""
        message = self.message
        if message is None:
            return None
        piece = apply_mask(self.data[self.at : self.at + self.left], self.mask)
        size = len(piece)
        self.at += size
        self.left -= size
        self.mask = self.mask[size % 4 :] + self.mask[: size % 4] if self.left else b""
        complete = self.fin and not self.left
        if self.decoder is not None:
            try:
                self.decoder.decode(piece, complete)
            except UnicodeDecodeError:
                raise FrameError(CloseCode.INVALID_DATA, "") from None
        message += piece
        if not complete:
            return None if self.left else FRAGMENT
        self.message = None
        return bytes(message) if self.decoder is None else [message.decode()]


def _problem(first: int, second: int, *, begun: bool) -> str | None:
    """What is wrong with a frame that starts with these bytes. `begun`: a message has."""
    opcode = first & OPCODE
    if opcode not in Opcode:
        return "invalid opcode"
    if second < MASKED:
        return "incorrect masking"
    if first & RESERVED:
        return "reserved bits must be 0"
    if opcode & CONTROL:
        if second - MASKED > MAX_CONTROL_BYTES:
            return "control frame too long"
        return None if first & FIN else "fragmented control frame"
    if begun is (opcode == Opcode.CONT):
        return None
    return "expected a continuation frame" if begun else "unexpected continuation frame"


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """A whole frame of the server's, which masks nothing (RFC 6455 section 5.1)."""
    return Frame(opcode, payload).serialize(mask=False)


def close_frame(code: int, reason: str = "") -> bytes:
    """Raises websockets' ProtocolError where no close frame may carry this code, or a reason of
    this length."""
    return frame(Opcode.CLOSE, Close(code, reason).serialize())

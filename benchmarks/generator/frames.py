"""WebSocket frames (RFC 6455 section 5) as cheaply as a load generator can have them.

Nothing here knows what a payload means; no I/O.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
BEGINNING: Final = 8
"""How much of a payload, with the frame's header, tells deliveries from all other frames."""


def masked(kind: int, payload: bytes) -> bytes:
    """A client's frame. The key is a random one, so that no server can save itself the work."""
    size = len(payload)
    if size < 126:
        length = bytes([128 | size])
    elif size < 65536:
        length = bytes([254]) + size.to_bytes(2)
    else:
        length = bytes([255]) + size.to_bytes(8)
    key = os.urandom(4)
    pad = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload) ^ int.from_bytes(pad)
    return bytes([128 | kind]) + length + key + mixed.to_bytes(size)


def whole(unread: bytes) -> Iterator[tuple[int, int, int]]:
    """The server's frames that are there to their end: kind, begin of the payload, end."""
    at, end = 0, len(unread)
    while at + 2 <= end:
        size, start = unread[at + 1], at + 2
        if size == 126:
            start += 2
            size = int.from_bytes(unread[at + 2 : start])
        elif size == 127:
            start += 8
            size = int.from_bytes(unread[at + 2 : start])
        if start + size > end:
            return
        yield unread[at] & 15, start, start + size
        at = start + size


@dataclass(frozen=True)
class Delivery:
    """What every delivery of a run looks like: its size on the wire, and how it begins.

    A frame's header is no valid JSON text, so `beginning` occurs nowhere but where a delivery
    begins, and counting it counts deliveries.
    """

    size: int
    beginning: bytes

    @classmethod
    def of(cls, payload: bytes) -> "Delivery":
        size = len(payload)
        length = bytes([size]) if size < 126 else bytes([126]) + size.to_bytes(2)
        if size >= 65536:
            length = bytes([127]) + size.to_bytes(8)
        frame = bytes([128 | TEXT]) + length + payload
        return cls(len(frame), frame[: len(frame) - size + min(BEGINNING, size)])

    def count(self, buffer: bytearray, filled: int) -> int:
        """How many deliveries the filled part begins with; -1 where another frame is among them.

        So many beginnings, the last of them one frame before the end, of frames of one size that
        follow one another: nothing else has room between them.
        """
        found = filled // self.size
        end = found * self.size
        if buffer.count(self.beginning, 0, end) != found:
            return -1
        if found and not buffer.startswith(self.beginning, end - self.size):
            return -1
        return found

"""What one read of a socket holds: WebSocket frames of a client, whole or begun (RFC 6455 section
5.2). Bytes only; nothing here waits or writes."""

from typing import Final

from websockets.frames import apply_mask  # type: ignore[attr-defined]

# Opcodes, each with FIN: the last frame of its message.
TEXT: Final = 0x81
PING: Final = 0x89
PONG: Final = 0x8A
PING_FRAME: Final = bytes((PING, 0))
PONG_TO_ALL: Final = 126
"""Bytes: a control frame has fewer (RFC 6455 section 5.5)."""
RESERVED_BITS: Final = 0x70
MASKED: Final = 0x80
MASK_BYTES: Final = 4
HEADER_BYTES: Final = 14  # at most
MAX_TOGETHER: Final = 64  # frames: so many may have to wait in memory for the one before them


def take_texts(data: bytes, at: int, texts: list[str]) -> int:
    """Adds the whole text frames from `at` on, MAX_TOGETHER at most; gives where they end."""
    end = len(data)
    while at < end - 5 and data[at] == TEXT and len(texts) < MAX_TOGETHER:
        size = data[at + 1] - MASKED
        if 0 <= size < 126:
            start = at + 6
            stop = start + size
        else:
            start, stop = payload(data, at)
        if stop > end or size < 0:
            break
        try:
            texts.append(apply_mask(data[start:stop], data[start - 4 : start]).decode())
        except UnicodeDecodeError:
            break
        at = stop
    return at


def whole_texts(data: bytes) -> list[str]:
    """The whole text frames with which `data` begins."""
    found: list[str] = []
    at, stop = 0, -1
    while at != stop:
        texts: list[str] = []
        at, stop = take_texts(data, at, texts), at
        found += texts
    return found


def payload(data: bytes, at: int) -> tuple[int, int]:
    """Where the payload of a frame begins and ends. Where not even its length is whole, it begins
    and ends behind all that is there."""
    size, header = data[at + 1] - MASKED, 2
    if size > 125:
        header += 2 if size == 126 else 8
        field = data[at + 2 : at + header]
        size = int.from_bytes(field) if len(field) == header - 2 else 0
    start = at + header + MASK_BYTES
    return start, start + size

"""What raw JSON may hold, beyond being JSON, and how large it is. No Django here.

The decoder (msgspec) has already refused what RFC 8259 refuses: NaN, lone surrogates, bad UTF-8,
control characters. Left to check are NUL, which PostgreSQL cannot store, depth and size
(protocol.md section 2).
"""

import re
from collections import Counter
from typing import Final

from msgspec import json

MAX_DATA_BYTES: Final = 32 * 1024
MAX_DEPTH: Final = 100

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_CODE_UNIT = re.compile(rb"\\u([0-9a-fA-F]{4})")
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[^][{}"]+')


def holds_nul(text: str) -> bool:
    """Whether any string in it, a name or a value, holds the character NUL."""
    return _NUL.search(text) is not None


def too_deep(raw: bytes) -> bool:
    """Whether arrays and objects nest in it more than MAX_DEPTH levels."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKETS.sub(b"", raw):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def compact_size(raw: bytes) -> int:
    """Its size in bytes as compact UTF-8: no white space, no needless escapes.

    Counts, and calls nothing for each string: that took 17 ms for a frame of short ones, and now
    takes 2 ms at most.
    """
    text = json.format(raw, indent=-1)
    if b"\\" not in text:
        return len(text)
    text = text.replace(b"\\\\", b"  ")  # so that every backslash left begins an escape
    units = Counter(_CODE_UNIT.findall(text))
    saved = sum(count * (6 - _unit_size(int(unit, 16))) for unit, count in units.items())
    return len(text) - text.count(b"\\/") - saved


def _unit_size(unit: int) -> int:
    """What a UTF-16 code unit takes as compact UTF-8; half a surrogate pair takes half of 4."""
    if unit < 0x20:
        return 2 if unit in b"\b\f\n\r\t" else 6
    if unit < 0x80:
        return 2 if unit in b'"\\' else 1
    return 2 if unit < 0x800 or 0xD800 <= unit < 0xE000 else 3


def too_large(raw: bytes, limit: int = MAX_DATA_BYTES) -> bool:
    """Whether it takes more than `limit` bytes as compact UTF-8."""
    return len(raw) > limit and compact_size(raw) > limit

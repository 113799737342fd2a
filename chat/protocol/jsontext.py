"""What raw JSON may hold, beyond being JSON, and how large it is. No Django here.

The decoder (msgspec) has already refused what RFC 8259 refuses: NaN, lone surrogates, bad UTF-8,
control characters. Left to check are NUL, which PostgreSQL cannot store, depth and size
(protocol.md section 2).
"""

import re
from typing import Final

from msgspec import json

MAX_DATA_BYTES: Final = 32 * 1024
MAX_DEPTH: Final = 100

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_STRING_OR_SPACE = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[^][{}"]+')


def holds_nul(text: str) -> bool:
    """Whether any string in it, a name or a value, holds the character NUL."""
    return "\\u0000" in text and _NUL.search(text) is not None


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
    """Its size in bytes as compact UTF-8: no white space, no needless escapes."""
    return len(_STRING_OR_SPACE.sub(_compact, raw))


def _compact(match: re.Match[bytes]) -> bytes:
    string = match[1]
    if string is None or b"\\" not in string:
        return string or b""
    return json.encode(json.decode(string))


def too_large(raw: bytes, limit: int = MAX_DATA_BYTES) -> bool:
    """Whether it takes more than `limit` bytes as compact UTF-8."""
    return len(raw) > limit and compact_size(raw) > limit

"""What raw JSON may hold, beyond being JSON, how large it is, and which value it stands for. No
Django here.

The decoder (msgspec) has already refused what RFC 8259 refuses: NaN, lone surrogates, bad UTF-8,
control characters. Left to check are NUL, which PostgreSQL cannot store, depth and size
(protocol.md section 2).
"""

import re
from collections import Counter
from decimal import MAX_EMAX, Context, Decimal
from json import JSONDecoder
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


# --- values ------------------------------------------------------------------------------------

Number = tuple[str, int | Decimal]
"""Its digits without zeros at either end, signed, and the power of ten that they count."""

# int() takes no text of more than 4,300 digits, and quadratic time.
_EXACT: Final = Context(prec=2 * MAX_DATA_BYTES, Emax=MAX_EMAX)


def same_value(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts, both checked before, stand for the same value (protocol.md section
    12): 1 and 1.0 are one number, 2^64 and 2^64 + 1 are two, and neither is `true`; of a key that
    an object names twice the last counts."""
    return one == other or _decode(one.decode()) == _decode(other.decode())


def _integer(text: str) -> Number:
    digits = text.rstrip("0")
    return (digits, len(text) - len(digits)) if digits not in ("", "-") else ("", 0)


def _number(text: str) -> Number:
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    sign = "-" if whole[0] == "-" else ""
    all_digits = (whole.lstrip("-") + fraction).lstrip("0")
    digits = all_digits.rstrip("0")
    if not digits:
        return "", 0
    moved = len(all_digits) - len(digits) - len(fraction)
    return sign + digits, _EXACT.add(Decimal(power or 0), moved)


# A number becomes a tuple, which equals no list, string or boolean.
_decode = JSONDecoder(parse_int=_integer, parse_float=_number).decode

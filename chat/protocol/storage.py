"""Whether a write to a storage entry changes its value (protocol.md section 12). No Django here.

JSON values are compared, not texts: 1 and 1.0 are one number, 2^64 and 2^64 + 1 are two, and
neither is `true`; of a key that an object names twice the last counts.
"""

import json
from decimal import MAX_EMAX, Context, Decimal
from typing import Final

from .jsontext import MAX_DATA_BYTES

Number = tuple[str, int | Decimal]
"""Its digits without zeros at either end, signed, and the power of ten that they count."""

# int() takes no text of more than 4,300 digits, and quadratic time.
_EXACT: Final = Context(prec=2 * MAX_DATA_BYTES, Emax=MAX_EMAX)


def same(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts, both checked before, stand for the same value."""
    return one == other or _value(one) == _value(other)


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
_decode = json.JSONDecoder(parse_int=_integer, parse_float=_number).decode


def _value(text: bytes) -> object:
    return _decode(text.decode())

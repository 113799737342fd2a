"""RFC 8259 and nothing else (protocol.md section 2): stricter than the standard library.

Pure. Refuses duplicate keys, NaN and Infinity, numbers beyond a double's range or of too many
digits, NUL and lone surrogates in any string, values nested too deep, and any encoding but UTF-8.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import NoReturn

from tokens.names import is_storable

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

# Containers within the outermost one, so that a claim may use all 100 levels of section 2.
MAX_DEPTH = 100

# Of a number; the digits of its exponent count too.
MAX_DIGITS = 1000
MAX_EXPONENT = 9999
HUGE = f"holds a number of more than {MAX_DIGITS} digits or with an exponent beyond ±{MAX_EXPONENT}"

# What numbers consist of, all alike; in the first an exponent keeps its letter, in the second all
# else is a space.
_EXPONENTS = bytes.maketrans(b"123456789+-E", b"00000000000e")
_NUMBERS = bytes(ord("0") if each in b"0123456789+-.eE" else ord(" ") for each in range(256))
_LONG = b"0" * (MAX_DIGITS + 1)
_HUGE_EXPONENT = re.compile(rb"[eE][+-]?0*+[1-9][0-9]{4}")

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


class JsonError(ValueError):
    """Text that is refused. `str()` says why in a few words and does not quote the text."""


def loads(document: bytes) -> Json:
    """Parse one JSON document. Raises `JsonError`."""
    if holds_huge_number(document):
        raise JsonError(HUGE)
    try:
        value: Json = json.loads(
            document.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except JsonError:
        raise
    except UnicodeDecodeError:
        raise JsonError("is not UTF-8") from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError:
        raise JsonError("is not JSON") from None
    _inspect(value)
    return value


def holds_huge_number(document: bytes) -> bool:
    """Whether a number in this JSON is so long, or its exponent so large, that common parsers fail
    on it. Linear, whatever the bytes; `find`, since `in` takes five times as long."""
    bare = _without_strings(document) if len(document) > MAX_DIGITS else document
    if bare.translate(_EXPONENTS).find(b"0e00000") < 0 and (
        len(bare) <= MAX_DIGITS or bare.translate(_NUMBERS).find(_LONG) < 0
    ):
        return False
    bare = _without_strings(bare)
    digits = bare.translate(_NUMBERS, b"+-.eE")
    return digits.find(_LONG) >= 0 or _HUGE_EXPONENT.search(bare) is not None


def _without_strings(document: bytes) -> bytes:
    if document.find(b"\\") >= 0:
        document = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(document.split(b'"')[::2])


def dumps(value: object) -> str:
    """Compact JSON without escapes; `value` comes from `loads` or keeps the same rules."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def printable(text: str) -> str:
    """JSON text with what is not printable escaped: safe in logs and terminals."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonError("holds the same key twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"holds {name}, which is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JsonError("holds a number out of range")
    return number


def _inspect(value: Json) -> None:
    """Walk level by level: the depth is then a count, whatever the document's shape."""
    level = [value]
    for _ in range(MAX_DEPTH + 2):
        level = [child for container in level for child in _children(container)]
        if not level:
            return
    raise JsonError(_TOO_DEEP)


def _children(value: Json) -> Iterable[Json]:
    if isinstance(value, str):
        _require_storable(value)
    elif isinstance(value, dict):
        for key in value:
            _require_storable(key)
        return value.values()
    elif isinstance(value, list):
        return value
    return ()


def _require_storable(text: str) -> None:
    if not is_storable(text):
        raise JsonError("holds NUL or a lone surrogate in a string")

"""Message ids: ULIDs that never go back within a channel (protocol.md section 2). No clock here."""

import math
import secrets
from decimal import Decimal
from typing import Final

from ulid import ULID

_RANDOM_BITS: Final = 80
_LAST_MS: Final = 2**48 - 1


def ulid_int(id: str) -> int:
    """The 128-bit number that a ULID stands for; "" (no message yet) is 0."""
    return int(ULID.from_str(id)) if id else 0


def next_id(last: int, ms: int) -> int:
    """The number of the next id after `last` at `ms` milliseconds since 1970.

    The random part leaves its highest bit free, so that counting on from it does not run into
    the time.
    """
    return max(ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS - 1), last + 1)


def ulid_text(number: int) -> str:
    return str(ULID.from_int(number))


def new_id(ms: int) -> str:
    """An id of its own, for what no channel orders."""
    return ulid_text(next_id(0, ms))


def before_instant(seconds: float) -> str:
    """The greatest id below all ids made at or after `seconds` since 1970; "": from the start."""
    exact = Decimal(repr(seconds)) * 1000  # as floats, 4135.109 * 1000 is above 4135109
    ms = min(max(math.ceil(exact), 0), _LAST_MS)
    return ulid_text((ms << _RANDOM_BITS) - 1) if ms else ""

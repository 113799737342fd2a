"""Message ids: ULIDs that never go back within a channel (protocol.md section 2). No clock here."""

import itertools
import math
import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from ulid import ULID

_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, by the ULID specification
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


# Two of a ULID's characters, in their order: what ten bits of its number come to.
_TAILS: Final = tuple(map("".join, itertools.product(_BASE32, repeat=2)))
_SHIFTS: Final = tuple(range(120, -1, -10))


def ulid_text(number: int) -> str:
    return "".join([_TAILS[number >> shift & 1023] for shift in _SHIFTS])


def following(id: str, number: int) -> str:
    """The text of `number`, the one after that of `id`: mostly another tail is all."""
    tail = number & 1023
    return id[:-2] + _TAILS[tail] if tail else ulid_text(number)


# A millisecond, how its ids begin, and the tails not taken yet. Replaced as one: threads share it.
_run: tuple[int, str, Iterator[str]] = (-1, "", iter(()))


def new_id(ms: int) -> str:
    """An id of its own, for what no channel orders.

    Ids of one millisecond share random bits and count on (the ULID specification, "Monotonicity"):
    drawing them anew takes 5 µs.
    """
    global _run
    run_ms, prefix, tails = _run
    if ms == run_ms and (tail := next(tails, None)) is not None:
        return prefix + tail
    prefix, tails = ulid_text(next_id(0, ms))[:-2], iter(_TAILS)
    _run = ms, prefix, tails
    return prefix + next(tails)


def before_instant(seconds: float) -> str:
    """The greatest id below all ids made at or after `seconds` since 1970; "": from the start."""
    exact = Decimal(repr(seconds)) * 1000  # as floats, 4135.109 * 1000 is above 4135109
    ms = min(max(math.ceil(exact), 0), _LAST_MS)
    return ulid_text((ms << _RANDOM_BITS) - 1) if ms else ""

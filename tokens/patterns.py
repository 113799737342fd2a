"""The keys of a token's entries: exact, `*` and `#regex:` (protocol.md sections 4 and 5).

Pure. No pattern can hang the server: a wildcard is a greedy walk without backtracking, a regular
expression runs in RE2, and the size of its program is bounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import re2

REGEX_PREFIX = "#regex:"

# Bytes: enough for `^[\p{L}\p{N} _-]{1,64}$`, which compiles to 86,000 instructions in 60 ms (a
# usual pattern: 80 in 30 us). `tokens.claims` bounds the sum of all expressions of a token.
_MAX_REGEX_MEMORY = 2 * 1024 * 1024


class PatternError(ValueError):
    """A `#regex:` pattern that does not compile; `str()` says why."""


class Kind(IntEnum):
    EXACT = 0
    WILDCARD = 1
    REGEX = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """One key of a token.

    `rank` orders keys, the most specific first: exact, then wildcards by the number of their
    literal characters, then regular expressions. `cost` is the number of instructions of a regular
    expression, 0 for other kinds.
    """

    key: str
    kind: Kind
    rank: tuple[int, int]
    matches: Callable[[str], bool]
    cost: int = 0


def compile_pattern(key: str) -> Pattern:
    """Compile a key. Its `matches` expects valid names (`tokens.names`). Raises `PatternError`."""
    if key.startswith(REGEX_PREFIX):
        return _regex(key)
    if "*" in key:
        return _wildcard(key)
    return Pattern(key, Kind.EXACT, (Kind.EXACT, 0), key.__eq__)


def _wildcard(key: str) -> Pattern:
    head, *middle, tail = key.split("*")
    pieces = tuple(filter(None, middle))
    literals = len(key) - key.count("*")

    def matches(name: str) -> bool:
        if len(name) < literals or not (name.startswith(head) and name.endswith(tail)):
            return False
        start, end = len(head), len(name) - len(tail)
        for piece in pieces:
            found = name.find(piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return True

    return Pattern(key, Kind.WILDCARD, (Kind.WILDCARD, -literals), matches)


@lru_cache(maxsize=256)
def _regex(key: str) -> Pattern:
    try:
        compiled = re2.compile(key.removeprefix(REGEX_PREFIX).encode(), _regex_options())
    except re2.error as error:
        raise PatternError(_reason(error)) from None
    except UnicodeEncodeError:
        raise PatternError("lone surrogate") from None
    search = compiled.search

    def matches(name: str) -> bool:
        # Bytes take half the time: for text, the binding also counts characters.
        return search(name.encode()) is not None

    return Pattern(key, Kind.REGEX, (Kind.REGEX, 0), matches, compiled.programsize)


def _regex_options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MAX_REGEX_MEMORY
    options.never_capture = True
    options.log_errors = False  # it prints the pattern to stderr
    return options


def _reason(error: re2.error) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)

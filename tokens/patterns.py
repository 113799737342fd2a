"""The keys of a token's entries: exact, `*` and `#regex:` (protocol.md sections 4 and 5).

Pure. No pattern can hang the server: a wildcard is a greedy walk without backtracking, a regular
expression runs in RE2, and the size of its program is bounded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from weakref import WeakValueDictionary

import re2

REGEX_PREFIX = "#regex:"

# What the regular expressions of one token may cost together, in instructions. So many are compiled
# in 10 ms, and try a name of 1,024 bytes in 20 ms, whatever they say (usual ones: in 0.2 ms).
MAX_REGEX_COST = 7000

# Bytes, for the program of an expression and for what it remembers while it matches: the least of
# these that is enough. An instruction takes 16 to 24.
_MEMORY = (2 << 10, 8 << 10, 32 << 10, 128 << 10)

# RE2 parses without a bound: `\pL`, again and again, took 255 MB and 850 ms, `a{0,999}` 780 MB. So
# an expression costs at least its bytes, the counts in it and this much for each class of Unicode.
_EXPANDING = re.compile(rb"\\[pP]|\{(?:[0-9]+,)?([0-9]{1,4})")
_COST_OF_CLASS = 300


class PatternError(ValueError):
    """A `#regex:` pattern that does not compile; `str()` says why."""


class Kind(IntEnum):
    EXACT = 0
    WILDCARD = 1
    REGEX = 2


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Pattern:
    """One key of a token. `cost` is that of a regular expression, in instructions; else 0."""

    key: str
    kind: Kind
    search: Callable[[bytes], object] | None = None
    cost: int = 0

    @property
    def rank(self) -> tuple[Kind, int]:
        """Orders keys, the most specific first: exact, then wildcards by the number of their
        literal characters, then regular expressions."""
        literals = len(self.key) - self.key.count("*") if self.kind is Kind.WILDCARD else 0
        return self.kind, -literals

    def matches(self, name: str) -> bool:
        """Expects a valid name (`tokens.names`)."""
        if self.search is not None:
            # Bytes take half the time: for text, the binding also counts characters.
            return self.search(name.encode()) is not None
        return self.key == name if self.kind is Kind.EXACT else _fits(self.key, name)


# Those in use: the same expression of many tokens is one. It goes with the last of them.
_compiled: WeakValueDictionary[str, Pattern] = WeakValueDictionary()


def compile_pattern(key: str) -> Pattern:
    """Raises `PatternError`."""
    if key.startswith(REGEX_PREFIX):
        pattern = _compiled.get(key)
        if pattern is None:
            pattern = _compiled[key] = _regex(key)
        return pattern
    if "*" in key:
        return Pattern(key, Kind.WILDCARD)
    return Pattern(key, Kind.EXACT)


def escape_name(name: str) -> str:
    """The key that stands for this name alone, whatever a user has put into it: itself, but where
    it would be read as a pattern.

    To be given the whole key, `escape_name(f"room-{name}")`. Names of channels and storage keys
    that need it are no valid ones: the entry then allows nothing.
    """
    if "*" in name or name.startswith(REGEX_PREFIX):
        quoted = name.encode("utf-8", "replace").decode()  # a lone surrogate is in no valid name
        return rf"{REGEX_PREFIX}\A{re2.escape(quoted)}\z"
    return name


def _fits(wildcard: str, name: str) -> bool:
    if len(name) < len(wildcard) - wildcard.count("*"):
        return False
    head, *middle, tail = wildcard.split("*")
    if not (name.startswith(head) and name.endswith(tail)):
        return False
    start, end = len(head), len(name) - len(tail)
    for piece in middle:
        found = name.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


def _regex(key: str) -> Pattern:
    try:
        expression = key.removeprefix(REGEX_PREFIX).encode()
    except UnicodeEncodeError:
        raise PatternError("lone surrogate") from None
    cost = len(expression)
    for repeats in _EXPANDING.findall(expression):
        cost += int(repeats) if repeats else _COST_OF_CLASS
    if cost > MAX_REGEX_COST:
        raise PatternError("pattern too large")
    reason = ""
    for memory in _MEMORY:
        if memory >= 16 * cost:
            try:
                compiled = re2.compile(expression, _options(memory))
            except re2.error as error:
                reason = _reason(error)
            else:
                re2.purge()  # its own cache has no bound in bytes
                cost = max(cost, compiled.programsize)
                return Pattern(key, Kind.REGEX, compiled.search, cost)
    raise PatternError(reason)


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.max_mem = memory
    options.never_capture = True
    options.log_errors = False  # it prints the pattern to stderr
    return options


def _reason(error: re2.error) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)

"""JSON laid out for reading, as text: parsing it would change what it says (2^64, repeated keys).

Pure. Changes the white space between tokens and nothing else.
"""

import re
from typing import Final

DEEPEST: Final = 20  # levels that are indented: more would make 32 KiB of brackets into megabytes
OPENING: Final = frozenset("{[")
CLOSING: Final = frozenset("}]")

_tokens = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+|"', re.DOTALL)


def indent(text: str) -> str:
    """One line for each item and member; of what is not JSON, whatever tokens it has."""
    pieces: list[str] = []
    depth, before = 0, ""
    for token in _tokens.findall(text):
        depth -= token in CLOSING
        pieces += (_gap(before, token, depth), token)
        depth += token in OPENING
        before = token
    return "".join(pieces)


def _gap(before: str, token: str, depth: int) -> str:
    if before == ":":
        return " "
    if before == "," or (before in OPENING) is not (token in CLOSING):
        return "\n" + "  " * min(max(depth, 0), DEEPEST)
    return ""

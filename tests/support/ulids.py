"""What the tests know of message ids (protocol.md section 2)."""

import re

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
LEAST = "0" * 26
GREATEST = "7" + "Z" * 25
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds(id: str) -> int:
    """The creation time in the first 10 characters of a ULID."""
    number = 0
    for digit in id[:10]:
        number = number * 32 + DIGITS.index(digit)
    return number

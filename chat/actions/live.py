"""Who may look at the live page over a WebSocket: whoever has a ticket, which the page's view makes
for staff (`chat/admin/live.py`). It is signed with SECRET_KEY, so no token is one, whatever it says
and whoever signed it.
"""

from typing import Final

from django.core import signing
from msgspec import json

from chat.runtime.live import LIVE
from tokens.claims import Claims, Entry, TokenError
from tokens.patterns import Kind, Pattern

SALT: Final = "chat.actions.live"
PREFIX: Final = "live:"
TICKET_SECONDS: Final = 60
LOOK_SECONDS: Final = 300.0  # how long a connection lasts; then its page needs another ticket
CHANNEL: Final = Entry(Pattern(LIVE, Kind.EXACT), {"autoSubscribe": True, "omitFromSubCount": True})


class LiveClaims(Claims):
    """Allow to look at the live page, and nothing else. Their `payload` allows nothing: who reads
    it again in another process has no right to the channel."""

    __slots__ = ()


def ticket() -> str:
    """Good for TICKET_SECONDS."""
    return PREFIX + signing.dumps("", salt=SALT)


def is_ticket(token: str) -> bool:
    """A JWT has no colon."""
    return token.startswith(PREFIX)


def claims_of(ticket: str, now: float) -> LiveClaims:
    """Raises TokenError where it is not one of this site, or too old. `now`: in unix seconds."""
    try:
        signing.loads(ticket.removeprefix(PREFIX), salt=SALT, max_age=TICKET_SECONDS)
    except signing.BadSignature:
        raise TokenError(
            "token", f"must be a ticket of this site's live page, {TICKET_SECONDS} s old at most"
        ) from None
    exp = now + LOOK_SECONDS
    payload = json.encode({"scope": "connect", "exp": exp}).decode()
    return LiveClaims(payload, len(payload), frozenset({"connect"}), exp, channels=(CHANNEL,))

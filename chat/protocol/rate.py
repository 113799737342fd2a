"""How fast one connection may send: a token bucket. No clock of its own here."""

from functools import lru_cache
from typing import Final

BURST_SECONDS: Final = 10.0
MAX_REMEMBERED: Final = 10_000


class Rate:
    """Allows `per_second` frames in the mean, ten times that at once; 0: no limit.

    A connection that sends at most five times `per_second` frames in any 10 s is never limited
    (protocol.md section 17: 500 frames with the default of 100).
    """

    __slots__ = ("_full_at", "_interval", "refused")

    def __init__(self, per_second: int) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._full_at = 0.0  # when the bucket will be full again, by the caller's clock
        self.refused = 0  # frames, since the bucket was last full

    def allows(self, now: float) -> bool:
        """Counts a frame at `now` (seconds of any steady clock), or refuses it."""
        full_at = self._full_at
        if full_at <= now:
            self.refused = 0
            full_at = now
        full_at += self._interval
        if full_at - now > BURST_SECONDS:
            self.refused += 1
            return False
        self._full_at = full_at
        return True


@lru_cache(MAX_REMEMBERED)
def rate_of(name: str, per_second: int) -> Rate:
    """The Rate of a name, for the MAX_REMEMBERED names that were seen last."""
    return Rate(per_second)

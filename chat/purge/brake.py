"""When a purge stops before it is done: it was asked to, or its time is up."""

import time
from typing import Final

TIME_IS_UP: Final = "max_seconds"


class Brake:
    """`max_seconds` from now it stops by itself; None: never."""

    def __init__(self, max_seconds: float | None = None) -> None:
        self._reason: str | None = None
        self._deadline = None if max_seconds is None else time.monotonic() + max_seconds

    def pull(self, reason: str) -> None:
        """Stops the purge after the transaction that is under way.

        Takes no lock, so that a signal handler may call it at any point.
        """
        self._reason = self._reason or reason

    def pause(self, seconds: float) -> None:
        """Returns after `seconds`, or when the time is up."""
        remaining = seconds if self._deadline is None else self._deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, remaining)))

    @property
    def reason(self) -> str | None:
        """Why to stop now; None: go on."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.pull(TIME_IS_UP)
        return self._reason

"""How long to wait before the next try: exponential, with full jitter (any time from zero to the
ceiling), so that the clients of a restarted server do not come back as one crowd. In seconds."""

import random
from typing import Final

FIRST_CEILING: Final = 1.0
MAX_CEILING: Final = 30.0
MAX_RETRY_AFTER: Final = 60.0


class Backoff:
    def __init__(self) -> None:
        self._failures = 0

    def next(self, *, at_once: bool = False, retry_after: float | None = None) -> float:
        """Counts a failure. `at_once`: the first one costs no wait."""
        earlier, self._failures = self._failures, self._failures + 1
        ceiling = min(MAX_CEILING, FIRST_CEILING * 2 ** min(earlier, 10))
        wait = 0.0 if at_once and earlier == 0 else random.uniform(0, ceiling)  # noqa: S311
        return max(wait, min(retry_after or 0.0, MAX_RETRY_AFTER))

    def reset(self) -> None:
        self._failures = 0

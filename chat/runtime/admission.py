"""Who is let in: how many connections an address has, and who must wait after an abuse. Decides;
never acts."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BAR_SECONDS: Final = 1.0
MAX_OPENING: Final = 128

Person = tuple[str, str | None]
"""Address and uid: of those behind one address only the one is meant."""


class Admission:
    """Of one process."""

    def __init__(self) -> None:
        # Held while a connection is opened. All that begin at once would each be refused after the
        # same wait, and what was done for them lost: 3,000 that came back together got nobody in.
        self.opening = asyncio.Semaphore(MAX_OPENING)
        self._addresses: Counter[str] = Counter()
        self._barred: dict[Person, float] = {}

    def count_from(self, address: str) -> int:
        """How many connections of this process come from an address, or are about to."""
        return self._addresses[address]

    @contextmanager
    def arriving(self, address: str) -> Iterator[None]:
        """Counts a handshake too: else any number that come at once would all find room."""
        self.enter(address)
        try:
            yield
        finally:
            self.leave(address)

    def enter(self, address: str) -> None:
        self._addresses[address] += 1

    def leave(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def bar(self, person: Person) -> None:
        """Who was closed for sending too fast or reading too slowly is refused for a moment, so
        that its client slows down (protocol.md section 6)."""
        self._barred[person] = time.monotonic() + BAR_SECONDS

    def is_barred(self, person: Person) -> bool:
        return self._barred.get(person, 0.0) > time.monotonic()

    def forget_barred(self) -> None:
        """Those whose moment is over."""
        now = time.monotonic()
        self._barred = {person: until for person, until in self._barred.items() if until > now}

"""Who is let in: how many connections an address has, and who must wait after an abuse."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

BAR: Final = "bar"  # the notification, as it is on the wire
BAR_SECONDS: Final = 1.0
MAX_OPENING: Final = 128

Person = tuple[str, str | None]
"""Address and uid: others behind the same address are not meant."""


class Admission:
    """Of one process; `notify` reaches the others."""

    def __init__(self, notify: Callable[..., None]) -> None:
        self._notify = notify
        # Held while a connection is opened. All that begin at once would each be refused after the
        # same wait, and what was done for them lost: 3,000 that came back together got nobody in.
        self.opening = asyncio.Semaphore(MAX_OPENING)
        self._addresses: Counter[str] = Counter()
        self._barred: dict[Person, float] = {}

    def count_from(self, address: str) -> int:
        """How many connections of this process an address has, handshakes included."""
        return self._addresses[address]

    @contextmanager
    def arriving(self, address: str) -> Iterator[None]:
        """Counts a handshake, too: else any number at once would be below the limit."""
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
        """Whoever was closed for sending too fast or reading too slowly is refused for a moment, in
        all processes, so that its client slows down (protocol.md section 6)."""
        self.bar_here(*person)
        self._notify(BAR, *person)

    def bar_here(self, address: str, uid: str | None) -> None:
        self._barred[address, uid] = time.monotonic() + BAR_SECONDS

    def is_barred(self, person: Person) -> bool:
        return self._barred.get(person, 0.0) > time.monotonic()

    def forget_expired(self) -> None:
        now = time.monotonic()
        self._barred = {person: until for person, until in self._barred.items() if until > now}

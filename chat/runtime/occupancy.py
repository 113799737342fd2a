"""How many subscribe to a channel, for those who follow it (protocol.md section 19). Changes are
found by counting: a subscription costs nothing more, and what a crash ends is found, too.

A process counts at most once at a time, all channels that are asked for together, and for those who
follow no more than SHARE of the time.
"""

import asyncio
from collections.abc import Iterable
from itertools import batched
from typing import Final

from chat.fanout.occupancy import Follower, Followers
from chat.fanout.send_queue import SendQueue
from chat.models import Subscription
from chat.runtime.recurring import MAX_NAMES, repeat
from chat.store.reads import read

SECONDS: Final = 1.0
SHARE: Final = 1 / 10


class Occupancy:
    def __init__(self, followers: Followers) -> None:
        self._followers = followers
        self._asked: set[str] = set()
        self._next: asyncio.Task[dict[str, int]] | None = None  # counts all that are asked for
        self._turn = asyncio.Lock()
        self._begun = asyncio.Event()  # somebody follows

    async def run(self) -> None:
        """Tells those who follow, until it is cancelled."""
        await repeat("Counting subscriptions", self.tell, sooner=self._begun)

    async def count(self, channels: Iterable[str]) -> dict[str, int]:
        """How many subscribe to each of these, as getChannelInfo counts, some moment after this
        call. Raises SERVICE_UNAVAILABLE."""
        self._asked.update(channels)
        if self._next is None:
            self._next = asyncio.create_task(self._count_asked())
        return await asyncio.shield(self._next)

    async def _count_asked(self) -> dict[str, int]:
        async with self._turn:
            asked, self._asked, self._next = self._asked, set(), None
            counts = dict.fromkeys(asked, 0)
            for names in batched(asked, MAX_NAMES):
                counts.update(await read(count_of, names))
            return counts

    def follow(self, channel: str, connection_id: str, queue: SendQueue, told: int) -> None:
        """From now on the connection is told when it is not what it was `told`, until it
        unsubscribes."""
        if not self._followers:
            self._begun.set()
        self._followers.add(channel, connection_id, Follower(queue, told))

    async def tell(self) -> float | None:
        """Counts what is followed, and tells who was told otherwise. Returns the seconds until the
        next time; None: once somebody follows. Raises SERVICE_UNAVAILABLE."""
        now = asyncio.get_running_loop().time
        began = now()
        due = self._followers.due(began)
        counts = await self.count(due) if due else {}
        for channel in due:
            self._followers.tell(channel, counts[channel], now())
        if not self._followers:
            return None
        return max(SECONDS, (now() - began) / SHARE)


def count_of(channels: Iterable[str]) -> dict[str, int]:
    """Channels to which somebody subscribes, and how many do."""
    return Subscription.objects.counts(channels)

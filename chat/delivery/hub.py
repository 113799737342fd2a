"""Who listens to what in this process; an announcement goes in, every subscriber's outbox gets it,
here and, through the wire, in the other processes.

Plain dictionaries on the event loop: nothing here waits, and nothing here writes.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .changes import Burst, Item
from .feed import Feed, ReadChanges, Subscriber

if TYPE_CHECKING:
    from .wire import Wire


class Hub:
    def __init__(self, read_changes: ReadChanges) -> None:
        self._read_changes = read_changes
        self._feeds: dict[str, Feed] = {}
        self.wire: Wire | None = None  # None: there are no other processes

    def join(self, channel: str, subscriber: Subscriber) -> None:
        """Registers it; until `settle`, what it is to get is held back."""
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel, self._read_changes, self._linked)
        feed.join(subscriber)

    def _linked(self) -> bool:
        return self.wire is not None and self.wire.works

    async def reach(self, channel: str) -> None:
        """Returns when what other processes announce in a channel from now on arrives here."""
        if self.wire is not None:
            await self.wire.join(channel)

    def settle(self, channel: str, subscriber: Subscriber, head: int) -> None:
        """From now on it gets everything above `head`, beginning with what was held back."""
        feed = self._feeds[channel]
        feed.start(head)
        feed.release(subscriber, head)

    def leave(self, channel: str, connection_id: str) -> None:
        feed = self._feeds.get(channel)
        if feed is None:
            return
        feed.leave(connection_id)
        if not feed.subscribers:
            feed.close()
            del self._feeds[channel]
            if self.wire is not None:
                self.wire.leave(channel)

    def listens(self, channel: str) -> bool:
        """Whether anybody in this process does."""
        return channel in self._feeds

    def announce(self, item: Item) -> None:
        """What this process has done, to all who listen anywhere."""
        feed = self._feeds.get(item.channel)
        if feed is not None:
            feed.receive(item)
        if self.wire is not None:
            self.wire.announce(item)

    def announce_burst(self, burst: Burst) -> None:
        """As `announce`, for each of them."""
        feed = self._feeds.get(burst.channel)
        if feed is not None:
            feed.receive_burst(burst)
        if self.wire is not None:
            self.wire.announce_burst(burst)

    def deliver(self, item: Item) -> None:
        """What was done anywhere, to those who listen here."""
        feed = self._feeds.get(item.channel)
        if feed is not None:
            feed.receive(item)

    def is_behind(self, channel: str) -> bool:
        """Whether more than half of its subscribers here are."""
        feed = self._feeds.get(channel)
        if feed is None:
            return False
        waiting = sum(each.outbox.behind for each in feed.subscribers.values())
        return waiting * 2 > len(feed.subscribers)

    def channels(self) -> list[str]:
        """Those with subscribers in this process."""
        return list(self._feeds)

    def check(self, heads: Iterable[tuple[str, int]]) -> None:
        """Channels and their numbers, as the database has them: whoever is behind catches up."""
        for channel, head in heads:
            feed = self._feeds.get(channel)
            if feed is not None:
                feed.check(head)

"""Who subscribes to what in this process. An announcement goes in; every subscriber's send queue
gets it, here and, through the broker, in the other processes.

Plain dictionaries on the event loop: nothing here waits, and nothing here writes.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from chat.fanout.announcements import Announcement, Burst
from chat.fanout.feed import Feed, ReadChanges, Subscriber


class BrokerStatus(Enum):
    """Whether other processes receive what this one announces, and it what they announce."""

    SINGLE_PROCESS = auto()  # there are no others
    CONNECTED = auto()
    DISCONNECTED = auto()


class Broker(Protocol):
    """Carries announcements between processes."""

    @property
    def status(self) -> BrokerStatus: ...

    def announce(self, announcement: Announcement) -> None:
        """To the other processes with subscribers to its channel; never waits."""

    def announce_burst(self, burst: Burst) -> None: ...

    async def subscribe(self, channel: str) -> None:
        """Returns when whatever others announce in the channel from now on arrives here."""

    def unsubscribe(self, channel: str) -> None:
        """Nobody in this process subscribes to the channel any more."""


class Hub:
    def __init__(self, read_changes: ReadChanges, broker: Broker) -> None:
        self._read_changes = read_changes
        self._feeds: dict[str, Feed] = {}
        self.broker = broker

    def join(self, channel: str, subscriber: Subscriber) -> None:
        """Registers it; until `settle`, what it is to get is held back."""
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel, self._read_changes, self._linked)
        feed.join(subscriber)

    def _linked(self) -> bool:
        return self.broker.status is BrokerStatus.CONNECTED

    async def reach(self, channel: str) -> None:
        """Returns when what other processes announce in a channel from now on arrives here."""
        await self.broker.subscribe(channel)

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
            self.broker.unsubscribe(channel)

    def listens(self, channel: str) -> bool:
        """Whether anybody in this process does."""
        return channel in self._feeds

    def announce(self, item: Announcement) -> None:
        """What this process has done, to all who listen anywhere."""
        feed = self._feeds.get(item.channel)
        if feed is not None:
            feed.receive(item)
        self.broker.announce(item)

    def announce_burst(self, burst: Burst) -> None:
        """As `announce`, for each of them."""
        feed = self._feeds.get(burst.channel)
        if feed is not None:
            feed.receive_burst(burst)
        self.broker.announce_burst(burst)

    def deliver(self, item: Announcement) -> None:
        """What was done anywhere, to those who listen here."""
        feed = self._feeds.get(item.channel)
        if feed is not None:
            feed.receive(item)

    def is_behind(self, channel: str) -> bool:
        """Whether more than half of its subscribers here are."""
        feed = self._feeds.get(channel)
        if feed is None:
            return False
        waiting = sum(each.send_queue.behind for each in feed.subscribers.values())
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

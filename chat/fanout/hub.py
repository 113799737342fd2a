"""Who subscribes to what in this process. An announcement goes in; every subscriber's send queue
gets it, here and, through the broker, in the other processes.

Plain dictionaries on the event loop: nothing here waits but for the broker, and nothing writes.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from chat.fanout.announcements import Announcement
from chat.fanout.feed import Feed, ReadChanges, Subscriber


class BrokerStatus(Enum):
    SINGLE_PROCESS = "single process"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class Broker(Protocol):
    """Carries announcements between processes."""

    @property
    def status(self) -> BrokerStatus:
        """CONNECTED: the other processes hear this one, and it hears them, at this moment."""

    def announce(self, announcement: Announcement) -> None:
        """To the other processes in which somebody subscribes to its channel. Never waits."""

    async def subscribe(self, channel: str) -> None:
        """Returns when what others announce in the channel from now on arrives here. Returns at
        once while it is not connected: heads are checked until it is."""

    def unsubscribe(self, channel: str) -> None:
        """Nobody in this process subscribes to the channel any more."""


class Hub:
    def __init__(self, read_changes: ReadChanges, broker: Broker) -> None:
        self._read_changes = read_changes
        self._feeds: dict[str, Feed] = {}
        self.broker = broker

    # --- subscribing ------------------------------------------------------------------------

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Registers it. Until `release` it holds back what it is to get."""
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel, self._read_changes, self._is_connected)
        feed.add(subscriber)

    def release(self, channel: str, subscriber: Subscriber, head: int) -> None:
        """From now on it gets everything above `head`, beginning with what it held back."""
        self._feeds[channel].release(subscriber, head)

    def unsubscribe(self, channel: str, connection_id: str) -> None:
        feed = self._feeds.get(channel)
        if feed is None:
            return
        feed.remove(connection_id)
        if not feed.subscribers:
            feed.close()
            del self._feeds[channel]
            self.broker.unsubscribe(channel)

    def has_subscribers(self, channel: str) -> bool:
        return channel in self._feeds

    def channels(self) -> list[str]:
        """Those with subscribers in this process."""
        return list(self._feeds)

    def _is_connected(self) -> bool:
        return self.broker.status is BrokerStatus.CONNECTED

    # --- announcing -------------------------------------------------------------------------

    def announce(self, announcement: Announcement) -> None:
        """What this process has done, to subscribers anywhere."""
        feed = self._feeds.get(announcement.channel)
        if feed is not None:
            feed.receive(announcement)
        self.broker.announce(announcement)

    def deliver(self, announcement: Announcement) -> None:
        """What was done anywhere, to the subscribers of this process."""
        feed = self._feeds.get(announcement.channel)
        if feed is not None:
            feed.receive(announcement)

    def check(self, heads: Iterable[tuple[str, int]]) -> None:
        """Channels with their sequence numbers in the database: a feed that is behind catches
        up."""
        for channel, head in heads:
            feed = self._feeds.get(channel)
            if feed is not None:
                feed.check(head)

    def is_behind(self, channel: str) -> bool:
        """Whether more than half of the channel's subscribers here read too slowly."""
        feed = self._feeds.get(channel)
        if feed is None:
            return False
        behind = sum(each.send_queue.behind for each in feed.subscribers.values())
        return behind * 2 > len(feed.subscribers)

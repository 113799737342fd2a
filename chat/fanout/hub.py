"""Who subscribes to what in this process. An announcement goes into the hub; the send queue of
every subscriber gets it, here and, through the broker, in the other processes.

Each channel's announcements, this process's own too, go through its `Feed` in their one order (P2,
P3): one that arrives before its predecessor waits; what stays missing is read from the database and
delivered first. All of it on the event loop: the hub waits for the broker only, and never writes.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from chat.counts import counts
from chat.fanout.announcements import BYTES_OF_ANNOUNCEMENT, Announcement, Change, Ephemeral
from chat.fanout.broker import Broker, BrokerStatus
from chat.fanout.occupancy import Followers
from chat.fanout.send_queue import MAX_UNSENT_BYTES, Batch, SendQueue
from chat.protocol.errors import CloseCode, ProtocolError
from chat.protocol.events import Event

log = logging.getLogger("chat.hub")

fan_out: Final = counts.fan_out

# Channel and sequence number -> the changes above it, each following the one before it, and the
# number up to which that is all.
ReadChanges = Callable[[str, int], Awaitable[tuple[list[Change], int]]]

REPAIR_AFTER_SECONDS: Final = 0.05
OWN_REPAIR_AFTER_SECONDS: Final = 0.003  # what this process has just committed comes by then
# Where the broker works, hardly anything is lost; 1 to 8 % arrives before its predecessor, by less
# than 5 ms, by more under load, and a repair would overtake the ephemeral messages behind it (P4).
CONNECTED_REPAIR_AFTER_SECONDS: Final = 0.25
RETRY_AFTER_SECONDS: Final = 1.0
UNKNOWN: Final = -1  # no subscriber has read the channel's head yet
MAX_UNBATCHED: Final = 3  # subscribers; for so few a shared batch costs more than it saves
# What may wait for the database or a predecessor, in a channel and in all of a process (P6). What
# is more is dropped: changes are read again, ephemeral messages are lost (P4: at most once).
MAX_WAITING_BYTES: Final = 1024 * 1024
MAX_ALL_WAITING_BYTES: Final = 16 * 1024 * 1024
# What waited goes on in pieces, each when all have taken most of the one before, or after a while:
# 2 MB/s at least, which leaves a reader of 4 MB/s time for the rest.
PIECE_BYTES: Final = 512 * 1024
PIECE_SECONDS: Final = 0.25
PIECE_POLL_SECONDS: Final = 0.01


# --- a channel ----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Subscriber:
    """A connection's place in a channel. Until it is released, it holds back what it is to get."""

    connection_id: str
    send_queue: SendQueue
    observes: Callable[[str], bool] = frozenset[str]().__contains__  # which storage keys
    head: int = 0  # the channel's number when it subscribed, or as far as that is known
    released: bool = False
    held: list[Announcement] | None = None
    held_bytes: int = 0

    def hold(self, announcement: Announcement) -> None:
        """As much as could be sent at once; for a change beyond that, its client is to come back
        and catch up (P3)."""
        if isinstance(announcement, Change) and announcement.number <= self.head:
            return
        size = announcement.size
        if self.held_bytes + size <= MAX_UNSENT_BYTES:
            self.held_bytes += size
            self.held = self.held or []
            self.held.append(announcement)
        elif isinstance(announcement, Change):
            self.send_queue.close(CloseCode.TRY_AGAIN_LATER)

    def send_held(self) -> None:
        """What was held back above its head."""
        held, self.held, self.held_bytes = self.held, None, 0
        for announcement in held or ():
            is_new = isinstance(announcement, Ephemeral) or announcement.number > self.head
            if is_new and (announcement.echo or announcement.origin != self.connection_id):
                number = _number(announcement)
                self.send_queue.push_frame(_frames(announcement), number)
                counts.held += number


@dataclass(slots=True, eq=False)
class Reply:
    """A frame for one subscriber, which follows what it gets up to the change `previous`."""

    previous: int
    subscriber: Subscriber
    frame: bytes

    @property
    def size(self) -> int:
        return BYTES_OF_ANNOUNCEMENT + len(self.frame)

    def send(self) -> None:
        counts.replies += 1
        self.subscriber.send_queue.push_frame(self.frame)


@dataclass(slots=True, eq=False)
class Broadcast:
    """Gives the same bytes to all subscribers of a channel; many share one batch, joined once."""

    _queues: dict[str, SendQueue] = field(default_factory=dict)  # by connection
    _batch: Batch | None = None
    _excluded: str | None = None  # the connection that does not get the batch

    def add(self, connection_id: str, send_queue: SendQueue) -> None:
        self._queues[connection_id] = send_queue
        self._close_batch()

    def remove(self, connection_id: str) -> None:
        if self._queues.pop(connection_id, None) is not None:
            self._close_batch()

    def send(self, frames: bytes, number: int, exclude: str | None) -> None:
        """So many frames, joined, to all but the connection `exclude`."""
        queues = self._queues
        audience_size = len(queues) - (exclude in queues)
        fan_out.counts[audience_size.bit_length()] += number
        fan_out.sum += audience_size * number
        if len(queues) <= MAX_UNBATCHED:
            for connection_id, queue in queues.items():
                if connection_id != exclude:
                    queue.push_frame(frames, number)
            return
        if exclude not in queues:  # it does not subscribe, or in another process
            exclude = None
        batch = self._batch
        if batch is not None and batch.open and exclude == self._excluded:
            batch.frames.append(frames)
            batch.number += number
            return
        audience = queues.copy()
        if exclude is not None:
            del audience[exclude]
        flusher = next(iter(queues.values())).flusher
        self._batch, self._excluded = flusher.batch(frames, number, audience.values()), exclude

    def _close_batch(self) -> None:
        if self._batch is not None:
            self._batch.open = False


@dataclass(slots=True, eq=False)
class Waiting:
    """How much waits in all feeds of a process."""

    bytes: int = 0


@dataclass(slots=True, eq=False)
class Feed:
    channel: str
    _all_waiting: Waiting
    _read_changes: ReadChanges
    _patience: Callable[[], float]  # seconds in which a broker may still bring what is missing
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    delivered: int = 0  # messages and changes, since `Hub.busiest` was asked last
    _broadcast: Broadcast = field(default_factory=Broadcast)  # to those released
    _holding: list[Subscriber] = field(default_factory=list)  # the others
    _last: int = UNKNOWN  # the number last delivered
    _head: int = UNKNOWN  # the channel's number as far as it is known
    # A heap: by what must come before; ephemeral messages before the change that follows the same,
    # since their sender may have caused it afterwards (P4); then as they arrived.
    _waiting: list[tuple[int, bool, int, Announcement | Reply]] = field(default_factory=list)
    _waiting_bytes: int = 0
    _arrivals: Iterator[int] = field(default_factory=itertools.count)
    _repair: asyncio.Task[None] | None = None
    _read_on: bool = False  # the last read brought a part of what it was asked for

    # --- subscribers ------------------------------------------------------------------------

    def add(self, subscriber: Subscriber) -> None:
        self.subscribers[subscriber.connection_id] = subscriber
        subscriber.head = max(self._last, self._head)  # it will stand there, or higher
        self._holding.append(subscriber)

    def remove(self, connection_id: str) -> None:
        subscriber = self.subscribers.pop(connection_id, None)
        if self._waiting:
            self._send_replies(subscriber)
        if subscriber in self._holding:
            self._holding.remove(subscriber)
        else:
            self._broadcast.remove(connection_id)

    def place(self, subscriber: Subscriber, head: int) -> None:
        """It is to get all above `head`, the channel's number when it subscribed. Of the first one
        that is from where nothing may be missing."""
        subscriber.head = head
        if self._last == UNKNOWN:
            self._last = head
            self._deliver_waiting()

    def release(self, subscriber: Subscriber, head: int) -> None:
        self.place(subscriber, head)
        subscriber.released = True
        self._release_held()
        self.check(head)

    def _release_held(self) -> None:
        """Those up to whose head all has been delivered."""
        holding, self._holding = self._holding, []
        for subscriber in holding:
            if subscriber.released and subscriber.head <= self._last:
                subscriber.send_held()
                self._broadcast.add(subscriber.connection_id, subscriber.send_queue)
            else:
                self._holding.append(subscriber)

    def close(self) -> None:
        self._all_waiting.bytes -= self._waiting_bytes
        if self._repair is not None:
            self._repair.cancel()

    # --- announcements ----------------------------------------------------------------------

    def receive(self, announcement: Announcement) -> None:
        """Delivers what follows the last one; keeps what is early; drops what was delivered."""
        follows = announcement.previous <= self._last
        if follows and not self._waiting:
            self._deliver(announcement)
            return
        goes_on = self._goes_on  # in pieces, by itself
        if follows and not goes_on:
            self._deliver(announcement)
        else:
            self._wait(announcement)
        if self._waiting and not goes_on:
            self._deliver_waiting()

    def check(self, head: int) -> None:
        """`head` is the channel's number in the database: what no announcement has brought is read
        up to it."""
        if self._last != UNKNOWN:
            self._head = max(self._head, head)
            self._repair_where_behind()

    def _deliver(self, announcement: Announcement) -> None:
        if isinstance(announcement, Ephemeral):
            key, frames, number = None, b"".join(announcement.frames), len(announcement.frames)
        elif announcement.number <= self._last:
            return
        else:
            self._last = announcement.number
            key, frames, number = announcement.key, announcement.event.frame, 1
        self.delivered += number
        if key is None:
            exclude = None if announcement.echo else announcement.origin
            self._broadcast.send(frames, number, exclude)
            if not self._holding:
                return
            for subscriber in self._holding:
                subscriber.hold(announcement)
        else:
            for subscriber in self.subscribers.values():
                if subscriber.observes(key):
                    subscriber.hold(announcement)
                    if subscriber.released and subscriber.head <= self._last:
                        subscriber.send_held()
        if self._holding:
            self._release_held()

    def _wait(self, announcement: Announcement) -> None:
        """Where there is room for it; a change for which there is none is read."""
        if isinstance(announcement, Change):
            self._head = max(self._head, announcement.number)
        if announcement.size <= self._room:
            self._keep(announcement)
        elif self._last != UNKNOWN:
            self._repair_where_behind()

    @property
    def _room(self) -> int:
        return min(
            MAX_WAITING_BYTES - self._waiting_bytes, MAX_ALL_WAITING_BYTES - self._all_waiting.bytes
        )

    def _keep(self, announcement: Announcement | Reply) -> None:
        is_change = isinstance(announcement, Change)
        place = (announcement.previous, is_change, next(self._arrivals), announcement)
        heapq.heappush(self._waiting, place)
        self._count(announcement.size)

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        self._all_waiting.bytes += size

    def _deliver_waiting(self, known: int = UNKNOWN) -> None:
        """Delivers a piece of what need not wait. Up to `known` nothing else will come: what is
        missing there has been purged, or is a reaction that has changed again."""
        if self._last == UNKNOWN:
            return
        size = 0
        while self._waiting and self._waiting[0][0] <= max(self._last, known):
            if size >= PIECE_BYTES:
                break
            announcement = heapq.heappop(self._waiting)[-1]
            size += announcement.size
            self._count(-announcement.size)
            if isinstance(announcement, Reply):
                announcement.send()
            else:
                self._deliver(announcement)
        else:
            self._last = max(self._last, known)
        if self._holding:
            self._release_held()
        self._repair_where_behind()

    # --- replies ----------------------------------------------------------------------------

    def reply(self, connection_id: str, after: int, frame: bytes) -> bool:
        """Sends it behind what the subscriber gets up to the change `after`: at once where that has
        been sent, or where there is no room for it to wait. False: there is no such subscriber."""
        subscriber = self.subscribers.get(connection_id)
        if subscriber is None:
            return False
        reply = Reply(after, subscriber, frame)
        if (after > self._last or self._goes_on) and reply.size <= self._room:
            self._keep(reply)
            if self._last != UNKNOWN:
                self._repair_where_behind()
        else:
            reply.send()
        return True

    def _send_replies(self, subscriber: Subscriber | None) -> None:
        """At once, those that wait for a subscriber who leaves."""
        own = {
            place[2]: place[-1]
            for place in self._waiting
            if isinstance(place[-1], Reply) and place[-1].subscriber is subscriber
        }
        if own:
            self._waiting = [place for place in self._waiting if place[2] not in own]
            heapq.heapify(self._waiting)
        for arrival in sorted(own):
            self._count(-own[arrival].size)
            own[arrival].send()

    # --- gap repair -------------------------------------------------------------------------

    @property
    def _behind(self) -> bool:
        return bool(self._waiting) or self._head > self._last

    @property
    def _goes_on(self) -> bool:
        """Whether something waits that need not: the rest of a piece."""
        return bool(self._waiting) and self._waiting[0][0] <= self._last

    def _repair_where_behind(self) -> None:
        if self._behind and self._repair is None:
            self._repair = asyncio.create_task(self._fill_gap())

    async def _fill_gap(self) -> None:
        """Reads what is missing, until nothing waits for a predecessor any more."""
        try:
            while self._behind:
                try:
                    await self._catch_up()
                except Exception as error:  # the outermost edge: try again
                    if isinstance(error, ProtocolError):  # the database is away
                        log.warning("A gap in a channel could not be read yet: %s", error.in_full)
                    else:
                        log.exception("A gap in a channel could not be closed yet")
                    await asyncio.sleep(RETRY_AFTER_SECONDS)
        finally:
            self._repair, self._read_on = None, False

    async def _catch_up(self) -> None:
        """Delivers a piece of what need not wait; else reads, where what is missing has not come
        in time."""
        if self._goes_on:
            await asyncio.sleep(PIECE_POLL_SECONDS)
            await self._until_taken()
            self._deliver_waiting()
            return
        last = self._last
        await asyncio.sleep(PIECE_POLL_SECONDS if self._read_on else self._patience())
        await self._until_taken()
        if self._behind and self._last == last:  # else another gap, which began later
            await self._read_missing()

    async def _until_taken(self) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + PIECE_SECONDS
        while any(each.send_queue.behind for each in self.subscribers.values()):
            if now() >= deadline:
                return
            await asyncio.sleep(PIECE_POLL_SECONDS)

    async def _read_missing(self) -> None:
        last, head = self._last, self._head
        counts.gap_repairs += 1
        missing, known = await self._read_changes(self.channel, last)
        for change in missing:
            self._keep(change)
        self._deliver_waiting(known)
        log.info("Gap repaired", {"channel": self.channel, "after": last, "changes": len(missing)})
        self._read_on = last < known < head
        if self._last == last:  # nothing is there any more: not to be asked for again and again
            self._head = last


def _number(announcement: Announcement) -> int:
    return 1 if isinstance(announcement, Change) else len(announcement.frames)


def _frames(announcement: Announcement) -> bytes:
    if isinstance(announcement, Change):
        return announcement.event.frame
    return b"".join(announcement.frames)  # of one it is that one itself


# --- all channels -------------------------------------------------------------------------------


class Hub:
    def __init__(self, read_changes: ReadChanges, broker: Broker) -> None:
        self._read_changes = read_changes
        self._feeds: dict[str, Feed] = {}
        self._waiting = Waiting()
        self.broker = broker
        self.followers = Followers()

    # --- subscribing ------------------------------------------------------------------------

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Registers it. Until `release` it holds back what it is to get."""
        feed = self._feeds.get(channel)
        if feed is None:
            reads = self._waiting, self._read_changes, self._patience
            feed = self._feeds[channel] = Feed(channel, *reads)
        feed.add(subscriber)

    def place(self, channel: str, subscriber: Subscriber, head: int) -> None:
        """What it holds back begins above `head`, the channel's number when it subscribed. To be
        called as soon as that is known: one that is released before and began later would have
        what lies between dropped."""
        self._feeds[channel].place(subscriber, head)

    def release(self, channel: str, subscriber: Subscriber, head: int) -> None:
        """From now on it gets everything above `head`, beginning with what it held back."""
        self._feeds[channel].release(subscriber, head)

    def unsubscribe(self, channel: str, connection_id: str) -> None:
        self.followers.remove(channel, connection_id)
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

    def subscriptions(self) -> int:
        """How many this process holds."""
        return sum(len(feed.subscribers) for feed in self._feeds.values())

    def subscribers(self, channel: str) -> frozenset[str]:
        """The ids of its connections in this process."""
        feed = self._feeds.get(channel)
        return frozenset(feed.subscribers if feed is not None else ())

    def busiest(self, most: int) -> list[tuple[str, int, int]]:
        """The channels in which most was delivered since the last call, the busiest first, each
        with how much that was and its subscribers here. Looks at every channel."""
        largest = heapq.nlargest(most, self._feeds.values(), attrgetter("delivered"))
        found = [(each.channel, each.delivered, len(each.subscribers)) for each in largest]
        for feed in self._feeds.values():
            feed.delivered = 0
        return [each for each in found if each[1]]

    @property
    def waiting_bytes(self) -> int:
        """Of announcements that came before their predecessors, in all channels."""
        return self._waiting.bytes

    def _patience(self) -> float:
        match self.broker.status:
            case BrokerStatus.SINGLE_PROCESS:
                return OWN_REPAIR_AFTER_SECONDS
            case BrokerStatus.CONNECTED:
                return CONNECTED_REPAIR_AFTER_SECONDS
        return REPAIR_AFTER_SECONDS

    # --- announcing -------------------------------------------------------------------------

    def announce(self, announcement: Announcement) -> None:
        """What this process has done, to subscribers anywhere."""
        feed = self._feeds.get(announcement.channel)
        if feed is not None:
            feed.receive(announcement)
        self.broker.announce(announcement)

    def reply(self, channel: str, connection_id: str, after: int, event: Event) -> bool:
        """Sends an answer to one subscriber behind what it gets of the channel up to the change
        `after`. False: it does not subscribe."""
        feed = self._feeds.get(channel)
        return feed is not None and feed.reply(connection_id, after, event.frame)

    def deliver(self, announcement: Announcement) -> None:
        """What was done anywhere, to the subscribers of this process."""
        feed = self._feeds.get(announcement.channel)
        if feed is not None:
            feed.receive(announcement)

    def check(self, heads: Iterable[tuple[str, int]]) -> None:
        """Channels with their numbers in the database: a feed that is behind catches up."""
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

"""One channel in this process: its subscribers, and its changes in their one order (P2, P3).

Every announcement goes through `receive`, its own process's too. What came before its predecessor
waits; what stays missing is read from the database and delivered first.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chat.fanout.announcements import Announcement, Burst, Change, Ephemeral
from chat.fanout.batch import Lane
from chat.fanout.send_queue import AsgiSendQueue
from chat.fanout.transport import SendQueue
from chat.protocol.errors import ProtocolError

log = logging.getLogger("chat.hub")

# What changed in a channel above a number, each following the one before it, and the number up to
# which that is all.
ReadChanges = Callable[[str, int], Awaitable[tuple[list[Change], int]]]

REPAIR_AFTER_SECONDS: Final = 0.05
# With nothing lost, 1 to 8 % of announcements from other processes arrive before their
# predecessor, by less than 5 ms (design.md section 4, "The hub"); by more where a process is
# overloaded. What is read from the database meanwhile would overtake the passing messages that are
# still on their way behind it (P4), and where the link works, hardly anything is really lost.
LINKED_REPAIR_AFTER_SECONDS: Final = 0.25
RETRY_AFTER_SECONDS: Final = 1.0
UNKNOWN: Final = -1  # no subscriber has found the channel's head yet
# For so many a lane costs more than it saves.
FEW: Final = 3
# Ephemeral messages beyond so many are dropped (P4: at most once): while the database is away, what
# they wait for does not come, and they would grow without bound (P6).
MAX_WAITING: Final = 1000


class Subscriber:
    """A connection's place in a channel. Until `release`, what it is to get is held back."""

    __slots__ = ("_head", "_held", "connection_id", "observes", "send_queue")

    def __init__(
        self,
        connection_id: str,
        send_queue: AsgiSendQueue | SendQueue,
        observes: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.connection_id = connection_id
        self.send_queue = send_queue
        self.observes = observes  # which storage keys
        self._head = 0
        self._held: list[Announcement] | None = []

    @property
    def is_released(self) -> bool:
        return self._held is None

    def is_even(self, last: int) -> bool:
        """Whether whatever comes after the channel's number `last` is for it."""
        return self._held is None and self._head <= last

    def release(self, head: int) -> None:
        """Delivers what was held back above `head`, the channel's number when it subscribed."""
        held, self._held, self._head = self._held or [], None, head
        for item in held:
            self.take(item)

    def take(self, item: Announcement) -> None:
        if self._held is not None:
            if _is_kept(item, len(self._held)):
                self._held.append(item)
        elif (item.echo or item.origin != self.connection_id) and item.place > self._head:
            self.send_queue.push(item.event)


class Feed:
    __slots__ = (
        "_ahead",
        "_arrivals",
        "_even",
        "_head",
        "_lane",
        "_last",
        "_linked",
        "_lone",
        "_others",
        "_read_changes",
        "_repair",
        "_waiting",
        "channel",
        "subscribers",
    )

    def __init__(self, channel: str, read_changes: ReadChanges, linked: Callable[[], bool]) -> None:
        self.channel = channel
        self._linked = linked  # whether a link may still bring what is missing
        self.subscribers: dict[str, Subscriber] = {}
        self._read_changes = read_changes
        self._last = UNKNOWN  # the number last delivered
        self._head = UNKNOWN  # the channel's number as it was last read
        # A heap: by what must come before; passing messages before the change that follows the
        # same, since their sender may have caused it afterwards (P4); then as they arrived.
        self._waiting: list[tuple[int, bool, int, Announcement]] = []
        self._arrivals = itertools.count()
        self._repair: asyncio.Task[None] | None = None
        # Who gets all that comes, and the others, looked at one by one: those that go through
        # ASGI, and for a moment those that have not been released, or are ahead.
        self._even: dict[SendQueue, str] = {}  # and their connections
        self._others: list[Subscriber] = []
        self._ahead = False  # whether some of them are
        self._lane: Lane | None = None  # what this turn has for those who get all
        self._lone: str | None = None  # but for this connection

    def join(self, subscriber: Subscriber) -> None:
        self.subscribers[subscriber.connection_id] = subscriber
        self._others.append(subscriber)

    def leave(self, connection_id: str) -> None:
        subscriber = self.subscribers.pop(connection_id, None)
        if subscriber in self._others:
            self._others.remove(subscriber)
        elif subscriber is not None and isinstance(subscriber.send_queue, SendQueue):
            del self._even[subscriber.send_queue]
            self._end_lane()

    def release(self, subscriber: Subscriber, head: int) -> None:
        """It gets what was held back above `head`, and all that comes."""
        subscriber.release(head)
        self._promote()

    def _promote(self) -> None:
        others, self._others, self._ahead = self._others, [], False
        for subscriber in others:
            send_queue = subscriber.send_queue
            if not isinstance(send_queue, SendQueue):
                self._others.append(subscriber)
            elif subscriber.is_even(self._last):
                self._even[send_queue] = subscriber.connection_id
                self._end_lane()
            else:
                self._others.append(subscriber)
                self._ahead = self._ahead or subscriber.is_released

    def _end_lane(self) -> None:
        if self._lane is not None:
            self._lane.open = False

    def start(self, head: int) -> None:
        """The head that its first subscriber found: from there on nothing may be missing."""
        if self._last == UNKNOWN:
            self._last = head
            self._deliver_waiting()

    def receive(self, item: Announcement) -> None:
        if item.follows <= self._last:
            if isinstance(item, Ephemeral):
                self._deliver_to_all(item)
            else:
                self._deliver(item)
        elif _is_kept(item, len(self._waiting)):
            self._wait(item)
        if self._waiting:
            self._deliver_waiting()

    def receive_burst(self, burst: Burst) -> None:
        """As `receive`, for each of them."""
        if burst.follows <= self._last and not (self._waiting or self._others):
            self._put(b"".join(burst.frames), None if burst.echo else burst.origin)
        else:
            for item in burst.items():
                self.receive(item)

    def check(self, head: int) -> None:
        """The channel's number in the database: what no announcement has told is read up to it."""
        if self._last != UNKNOWN:
            self._head = head
            self._repair_where_behind()

    def close(self) -> None:
        if self._repair is not None:
            self._repair.cancel()

    def _deliver(self, item: Announcement) -> None:
        """Gives it to every subscriber; one that was delivered before is dropped."""
        if isinstance(item, Change):
            if item.number <= self._last:
                return
            self._last = item.number
        if item.key is None:
            self._deliver_to_all(item)
        else:
            for subscriber in self.subscribers.values():
                if subscriber.observes(item.key):
                    subscriber.take(item)
        if self._ahead:
            self._promote()

    def _deliver_to_all(self, item: Announcement) -> None:
        self._put(item.event.framed or item.event.frame, None if item.echo else item.origin)
        for subscriber in self._others:
            subscriber.take(item)

    def _put(self, frame: bytes, lone: str | None) -> None:
        """Gives it to those who get all that comes, but to `lone`."""
        if len(self._even) > FEW:
            if lone not in self.subscribers:  # it is no listener, or in another process
                lone = None
            lane = self._lane
            if lane is not None and lane.open and lone == self._lone:
                lane.frames.append(frame)
            else:
                self._open_lane(frame, lone)
        else:
            for send_queue, connection_id in self._even.items():
                if connection_id != lone:
                    send_queue.put(frame)

    def _open_lane(self, frame: bytes, lone: str | None) -> None:
        even = self._even
        lane = next(iter(even)).flusher.lane(frame)
        self._lane, self._lone = lane, lone
        for send_queue, connection_id in even.items():
            if connection_id != lone:
                send_queue.follow(lane)

    def _wait(self, item: Announcement) -> None:
        place = (item.follows, isinstance(item, Change), next(self._arrivals), item)
        heapq.heappush(self._waiting, place)

    def _deliver_waiting(self, known: int = UNKNOWN) -> None:
        """Delivers what need not wait. Up to `known` nothing else will come: what is missing there
        has been purged, or is a reaction that has changed again."""
        if self._last == UNKNOWN:
            return
        while self._waiting and self._waiting[0][0] <= max(self._last, known):
            self._deliver(heapq.heappop(self._waiting)[-1])
        self._last = max(self._last, known)
        self._repair_where_behind()

    @property
    def _behind(self) -> bool:
        return bool(self._waiting) or self._head > self._last

    def _repair_where_behind(self) -> None:
        if self._behind and self._repair is None:
            self._repair = asyncio.create_task(self._fill_gap())

    async def _fill_gap(self) -> None:
        """Reads what is missing, until nothing waits for a predecessor any more."""
        try:
            while self._behind:
                last, linked = self._last, self._linked()
                await asyncio.sleep(LINKED_REPAIR_AFTER_SECONDS if linked else REPAIR_AFTER_SECONDS)
                if self._behind and self._last == last:  # else another gap, which began later
                    await self._read_missing()
        finally:
            self._repair = None

    async def _read_missing(self) -> None:
        last = self._last
        try:
            missing, known = await self._read_changes(self.channel, last)
        except ProtocolError as error:  # the database is away: try again
            log.warning("A gap in a channel could not be read yet: %s", error.message)
            await asyncio.sleep(RETRY_AFTER_SECONDS)
            return
        for change in missing:
            self._wait(change)
        self._deliver_waiting(known)
        if self._last == last:  # nothing is there any more: not to be asked for again and again
            self._head = last


def _is_kept(item: Announcement, waiting: int) -> bool:
    """Whether it is kept beside so many that wait for the database already."""
    return waiting < MAX_WAITING or isinstance(item, Change)

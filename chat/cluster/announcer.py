"""What goes out to the other processes, in the order in which it was announced.

Nobody waits for it. What it cannot send the others find in the database, by the numbers of their
channels: they are told to look as soon as it can send again.
"""

import asyncio
import logging
from collections import deque
from typing import Any, Final

from redis.exceptions import RedisError

from chat.cluster.envelope import (
    EVERYBODY,
    Entry,
    Message,
    encode,
    group_of,
    group_of_node,
    message,
)
from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import Announcement

log = logging.getLogger("chat.broker")

MAX_QUEUED: Final = 10_000  # what comes on top is dropped
SEND_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
FAILURES: Final = (RedisError, OSError, TimeoutError)


class Announcer:
    """A process's queue to the groups of the channel layer. `dropped`: not all that was announced
    has left, and the others are not yet told to look."""

    def __init__(self, node_id: str, layer: RedisLayer) -> None:
        self._node_id = node_id
        self._layer = layer
        self._queue: deque[tuple[str, Entry]] = deque()
        self._queued = asyncio.Event()
        self.all_sent = asyncio.Event()
        self.all_sent.set()
        self.dropped = False

    def announce(self, announcement: Announcement) -> None:
        """To the other processes in which somebody listens; never waits."""
        group = group_of(announcement.channel)
        for entry in encode(announcement):
            self.send(group, entry)

    def tell_all(self, kind: str, *what: Any) -> None:
        """To every other process's handler of that kind."""
        self.send(EVERYBODY, [kind, *what])

    def tell(self, node_id: str, kind: str, *what: Any) -> None:
        """To one process's handler of that kind."""
        self.send(group_of_node(node_id), [kind, *what])

    def send(self, group: str, entry: Entry) -> None:
        if len(self._queue) < MAX_QUEUED:
            self._queue.append((group, entry))
        else:
            self.dropped = True
        self._queued.set()
        self.all_sent.clear()

    async def send_for_ever(self) -> None:
        """All that waits goes in one round trip; the next gathers meanwhile."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            was_dropped = self.dropped
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._layer.group_send_many(self._gather())
            except FAILURES as error:
                self._drop(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._recover(was_dropped)
                if not self._queue:
                    self.all_sent.set()

    def _gather(self) -> list[tuple[str, Message]]:
        by_group: dict[str, list[Entry]] = {EVERYBODY: [["check"]]} if self.dropped else {}
        while self._queue:
            group, entry = self._queue.popleft()
            by_group.setdefault(group, []).append(entry)
        return [(group, message(entries, self._node_id)) for group, entries in by_group.items()]

    def _drop(self, error: BaseException) -> None:
        if not self.dropped:
            log.warning("Other processes are not told, since Redis does not answer: %r", error)
        self.dropped = True
        self._queued.set()

    def _recover(self, was_dropped: bool) -> None:
        if was_dropped:
            log.warning("Other processes are told again")
            self.dropped = False

"""What processes send each other: the format of the messages, and the queue of those that go out.

A message carries entries: lists of a kind and its fields. In a rolling exchange with a server of
commit 6a94d71 each reads what the other sends.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypedDict

from redis.exceptions import RedisError

from chat.fanout.announcements import Announcement, Change, Ephemeral
from chat.protocol.events import Event, payloads

log = logging.getLogger("chat.broker")

VERSION: Final = 1  # raised when processes of the version before could not read it
EVERYBODY: Final = "everybody"  # the group of all processes

# Kinds of entries; these literals are on the wire.
CHANGE: Final = "change"
EPHEMERAL: Final = "passing"
CHECK: Final = "check"  # look for what may have been lost
PROBE: Final = "probe"  # of a process to itself

MAX_QUEUED: Final = 10_000  # announcements; what comes on top is dropped
SEND_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
FAILURES: Final = (RedisError, OSError, TimeoutError)

Entry = list[object]
Message = TypedDict("Message", {"type": str, "v": int, "from": str, "entries": list[Entry]})


# --- the format of messages ---------------------------------------------------------------------


def message(entries: list[Entry], sender: str = "") -> Message:
    """`sender` is a node's id, "" for a process that serves nobody; the layer asks for a type."""
    return {"type": "chat", "v": VERSION, "from": sender, "entries": entries}


def group_of(channel: str) -> str:
    """Group names are limited to 100 ASCII characters."""
    return f"c.{hashlib.blake2b(channel.encode(), digest_size=20).hexdigest()}"


def group_of_node(id: str) -> str:
    return f"n.{id}"


def encode(item: Announcement) -> list[Entry]:
    """An entry for a change, or for each ephemeral message."""
    where, sender = (item.channel, item.previous), (item.origin, item.echo)
    if isinstance(item, Change):
        return [[CHANGE, *where, item.event.payload, *sender, item.number, item.key]]
    return [
        [EPHEMERAL, *where, payload, *sender]
        for frame in item.frames
        for _, payload in payloads(frame)
    ]


def _change(
    channel: str,
    previous: int,
    payload: bytes,
    origin: str | None,
    echo: bool,
    number: int,
    key: str | None,
) -> Change:
    return Change(channel, previous, number, Event(payload), origin, echo, key)


def _ephemeral(
    channel: str, previous: int, payload: bytes, origin: str | None, echo: bool
) -> Ephemeral:
    return Ephemeral(channel, previous, [Event(payload).frame], origin, echo)


DECODERS: Final[dict[object, Callable[..., Announcement]]] = {
    CHANGE: _change,
    EPHEMERAL: _ephemeral,
}


# --- what goes out ------------------------------------------------------------------------------


class Announcer:
    """A process's queue to the others, sent in order by one task; nobody waits for it.

    What it cannot send, the others find in the database, by the numbers of their channels: it asks
    them to check as soon as it can send again. `send` takes messages with their groups.
    """

    def __init__(
        self, node_id: str, send: Callable[[Sequence[tuple[str, Message]]], Awaitable[None]]
    ) -> None:
        self._node_id = node_id
        self._send = send
        self._queue: deque[tuple[str, list[Entry]]] = deque()
        self._queued = asyncio.Event()
        self._losses = 0
        self._losses_reported = 0
        self.all_sent = asyncio.Event()
        self.all_sent.set()

    @property
    def has_lost(self) -> bool:
        """Whether something was dropped since the others were last asked to check."""
        return self._losses > self._losses_reported

    def announce(self, item: Announcement) -> None:
        """To the processes with subscribers to its channel."""
        self.put(group_of(item.channel), encode(item))

    def put(self, group: str, entries: list[Entry]) -> None:
        if len(self._queue) < MAX_QUEUED:
            self._queue.append((group, entries))
        else:
            self._losses += 1
        self._queued.set()
        self.all_sent.clear()

    async def run(self) -> None:
        """Sends all that is queued in one round trip; meanwhile more is queued."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            losses = self._losses
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(self._messages())
            except FAILURES as error:
                self._lose(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._report(losses)

    def _messages(self) -> list[tuple[str, Message]]:
        by_group: dict[str, list[Entry]] = {EVERYBODY: [[CHECK]]} if self.has_lost else {}
        while self._queue:
            group, entries = self._queue.popleft()
            by_group.setdefault(group, []).extend(entries)
        return [(group, message(entries, self._node_id)) for group, entries in by_group.items()]

    def _lose(self, error: BaseException) -> None:
        if not self.has_lost:
            log.warning("Nothing can be sent to other processes: %r", error)
        self._losses += 1
        self._queued.set()

    def _report(self, losses: int) -> None:
        if losses > self._losses_reported:
            log.warning("Other processes receive announcements again")
            self._losses_reported = losses
        if not self._queue:
            self.all_sent.set()

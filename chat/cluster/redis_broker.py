"""The broker through Redis: what happens in one process is announced to the others through the
channel layer, and what they announce is delivered here (design.md section 4, "Between processes").

A process has one layer channel, which is in the group of each channel with subscribers here. A
message carries entries: lists of a kind and its fields. In a rolling exchange with a server of
commit 6a94d71 each reads what the other sends.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import batched
from typing import Final, TypedDict, cast

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import (
    BYTES_OF_ANNOUNCEMENT,
    Announcement,
    Change,
    Ephemeral,
)
from chat.fanout.hub import BrokerStatus, Handlers, Hub, StartTask
from chat.protocol.events import encoded, payloads

log = logging.getLogger("chat.broker")

VERSION: Final = 1  # raised when processes of the version before could not read it
EVERYBODY: Final = "everybody"  # the group of all processes

# Kinds of entries; these literals are on the wire.
CHANGE: Final = "change"
EPHEMERAL: Final = "passing"
CHECK: Final = "check"  # look for what may have been lost
PROBE: Final = "probe"  # of a process to itself

MAX_QUEUED_BYTES: Final = 16 * 1024 * 1024  # what comes on top is dropped
MAX_SENT_BYTES: Final = 1024 * 1024  # in one round trip, beside its last announcement
SEND_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 0.5
JOIN_SECONDS: Final = 2.0
LINGER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 5.0
MISSED_PROBES: Final = 2
FLUSH_SECONDS: Final = 1.0
JOINS_AT_ONCE: Final = 100
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


# --- the queue of messages that go out ----------------------------------------------------------


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
        self._queue: deque[tuple[str, list[Entry], int]] = deque()
        self._bytes = 0
        self._queued = asyncio.Event()
        self._dropped = False  # since the others were last asked to check
        self.has_lost = False  # the same, or it could not be sent
        self.all_sent = asyncio.Event()
        self.all_sent.set()

    def put(self, group: str, entries: list[Entry], size: int = BYTES_OF_ANNOUNCEMENT) -> None:
        """`size` is about their bytes of memory."""
        if self._bytes + size <= MAX_QUEUED_BYTES:
            self._queue.append((group, entries, size))
            self._bytes += size
        else:
            self.has_lost = self._dropped = True
        self._queued.set()
        self.all_sent.clear()

    async def run(self) -> None:
        """Sends what is queued, MAX_SENT_BYTES in a round trip; meanwhile more is queued."""
        while True:
            await self._queued.wait()
            self._dropped = False
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(self._messages())
            except Exception as error:
                if not self.has_lost:
                    log.warning("Nothing can be sent to other processes: %r", error)
                self.has_lost = True
                self._queue.clear()  # ephemeral messages would come late
                self._bytes = 0
                if not isinstance(error, FAILURES):
                    raise
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self.has_lost and not self._dropped:
                self.has_lost = False
                log.warning("Other processes receive announcements again")
            if not (self._queue or self.has_lost):
                self._queued.clear()
                self.all_sent.set()

    def _messages(self) -> list[tuple[str, Message]]:
        by_group: dict[str, list[Entry]] = {EVERYBODY: [[CHECK]]} if self.has_lost else {}
        left = self._bytes - MAX_SENT_BYTES
        while self._queue and self._bytes > left:
            group, entries, size = self._queue.popleft()
            self._bytes -= size
            by_group.setdefault(group, []).extend(entries)
        if EVERYBODY in by_group:  # behind what was announced before (runtime/order.py)
            by_group[EVERYBODY] = by_group.pop(EVERYBODY)
        return [(group, message(entries, self._node_id)) for group, entries in by_group.items()]


# --- the broker ---------------------------------------------------------------------------------


class RedisBroker:
    """Keeps its connection up from `start` to `stop`; nobody but `start` and `subscribe` waits for
    Redis."""

    _hub: Hub
    _check: Callable[[], object]
    _handlers: Handlers
    _tasks: Sequence[asyncio.Task[None]] = ()

    def __init__(self, node_id: str, layer: RedisLayer) -> None:
        self._node_id = node_id
        self._node_group = f"n.{node_id}"
        self._layer = layer.of_loop()
        self._announcer = Announcer(node_id, self._layer.group_send_many)
        self._loop = asyncio.get_running_loop()
        self._own: str | None = None  # its layer channel, while it is connected
        self._subscribed: set[str] = set()
        self._changing: dict[str, asyncio.Task[None]] = {}  # whose group is being joined or left
        self._returned = 0  # messages of this process that came back to it
        self._lost = asyncio.Event()
        self._connected = asyncio.Event()  # once
        self._away = False  # it could not be connected, and the log says so

    @property
    def status(self) -> BrokerStatus:
        connected = self._own is not None and not self._announcer.has_lost
        return BrokerStatus.CONNECTED if connected else BrokerStatus.DISCONNECTED

    # --- what goes out ----------------------------------------------------------------------

    def announce(self, announcement: Announcement) -> None:
        entries = encode(announcement)
        self._announcer.put(group_of(announcement.channel), entries, announcement.size)

    def notify(self, kind: str, *fields: object) -> None:
        """Calls the handler of this kind in every other process; never waits."""
        self._announcer.put(EVERYBODY, [[kind, *fields]])

    # --- what comes in ----------------------------------------------------------------------

    async def _receive(self, own: str) -> None:
        while True:
            received: Message = await self._layer.receive(own)
            if received["from"] == self._node_id:
                self._returned += 1
            elif received["v"] > VERSION:  # of a newer process: what it changed is in the database
                self._check()
            else:
                for entry in received["entries"]:
                    self._take(entry)

    def _take(self, entry: Entry) -> None:
        try:
            kind, *fields = entry
            handler = self._handlers.get(cast("str", kind))
            if handler is not None:
                handler(*fields)
            else:  # such as "ask umd" of a server of commit 6a94d71, which then goes on by itself
                log.info("An entry of the kind %r, of another version, was ignored", kind)
        except Exception:  # the outermost edge: the next one is read all the same
            log.exception("An entry of another process could not be read")

    def _deliver_change(
        self,
        channel: str,
        previous: int,
        payload: bytes,
        origin: str | None,
        echo: bool,
        number: int,
        key: str | None,
    ) -> None:
        self._hub.deliver(Change(channel, previous, number, encoded(payload), origin, echo, key))

    def _deliver_ephemeral(
        self, channel: str, previous: int, payload: bytes, origin: str | None, echo: bool
    ) -> None:
        self._hub.deliver(Ephemeral(channel, previous, [encoded(payload).frame], origin, echo))

    # --- which channels ---------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """While it is not connected it returns at once: the head check stands in."""
        while self._own is not None and channel not in self._subscribed:
            changing = self._changing.get(channel)
            if changing is None:
                changing = self._change(channel, self._join(channel, self._own))
            await asyncio.wait([changing])  # where it is being left, that first

    def unsubscribe(self, channel: str) -> None:
        """Leaves the group after a while: it is still in it for a client that only reconnects."""
        self._loop.call_later(LINGER_SECONDS, self._leave_unused, channel)

    def _leave_unused(self, channel: str) -> None:
        unused = channel in self._subscribed and not self._hub.has_subscribers(channel)
        if self._own is not None and unused:
            self._subscribed.discard(channel)
            self._change(channel, self._regroup(self._layer.group_discard, channel, self._own))

    def _change(self, channel: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        def end(task: asyncio.Task[None]) -> None:
            if self._changing.get(channel) is task:  # else it is being left since it was joined
                del self._changing[channel]

        task = self._changing[channel] = asyncio.create_task(work)
        task.add_done_callback(end)
        return task

    async def _join(self, channel: str, own: str) -> None:
        await self._regroup(self._layer.group_add, channel, own)
        if self._own == own:
            self._subscribed.add(channel)

    async def _regroup(
        self, change: Callable[[str, str], Awaitable[None]], channel: str, own: str
    ) -> None:
        """Where it fails, Redis may have done it or not: a new connection begins from nothing."""
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await change(group_of(channel), own)
        except Exception as error:  # the outermost edge
            unforeseen = not isinstance(error, FAILURES)
            log.warning(
                "A channel could not be joined or left in Redis: %r", error, exc_info=unforeseen
            )
            self._own = None
            self._lost.set()

    # --- life -------------------------------------------------------------------------------

    async def start(
        self,
        hub: Hub,
        check: Callable[[], object],
        handlers: Handlers,
        start_task: StartTask,
    ) -> None:
        """Returns when it is connected for the first time, or cannot be: whoever subscribes before
        would miss what others announce. Delivers to `hub` from then on; calls `check` where an
        announcement may have been lost, `handlers` for what others notify this process of."""
        self._hub, self._check = hub, check
        self._handlers = {
            **handlers,
            CHANGE: self._deliver_change,
            EPHEMERAL: self._deliver_ephemeral,
            CHECK: check,
        }
        self._tasks = [
            start_task("announcer", self._announcer.run),
            start_task("link to other processes", self._run),
        ]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), JOIN_SECONDS)

    async def stop(self) -> None:
        """Disconnects once what was announced has been sent."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._announcer.all_sent.wait(), FLUSH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._layer.close()

    async def _run(self) -> None:
        while True:
            await self._session()
            await asyncio.sleep(RETRY_SECONDS)

    async def _session(self) -> None:
        """One connection, from its beginning to its end."""
        self._lost.clear()
        own: str | None = None
        try:
            own = self._own = await self._connect()
            await self._join_all()
            log.info("Connected to the other processes through Redis")
            self._away = False
            self._connected.set()
            self._check()
            await self._until_lost(own)
        except FAILURES as error:
            if own is not None:
                log.warning("The connection through Redis begins anew: %s", error)
            elif not self._away:
                self._away = True
                why = str(error) or "no answer"
                log.warning("REDIS_URL does not work, other processes are not reached: %s", why)
        finally:
            self._own = None
            self._subscribed.clear()
            for task in self._changing.values():
                task.cancel()
            self._layer.reset()

    async def _connect(self) -> str:
        async with asyncio.timeout(JOIN_SECONDS):
            own: str = await self._layer.new_channel()
            for group in (EVERYBODY, self._node_group):
                await self._layer.group_add(group, own)
        self._layer.reconnected = self._check
        return own

    async def _join_all(self) -> None:
        for channels in batched(self._hub.channels(), JOINS_AT_ONCE):
            await asyncio.gather(*map(self.subscribe, channels))
        if self._lost.is_set():
            raise ConnectionError("not all channels could be joined")

    async def _until_lost(self, own: str) -> None:
        tasks = [
            asyncio.create_task(self._receive(own)),
            asyncio.create_task(self._probe()),
            asyncio.create_task(self._lost.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _probe(self) -> None:
        """A subscribed connection can go deaf while it looks alive: what this process sends itself
        must come back."""
        missed = 0
        while missed < MISSED_PROBES:
            returned = self._returned
            self._announcer.put(self._node_group, [[PROBE]])
            await asyncio.sleep(PROBE_SECONDS)
            missed = missed + 1 if self._returned == returned else 0
        raise ConnectionError("what this process sends itself does not come back")


# --- from a process that serves nobody ----------------------------------------------------------


def announce_from_outside(announcements: Sequence[Announcement]) -> None:
    """From a task or a command to the servers. Where Redis is away, they find by themselves what is
    stored.

    Not on an event loop: it waits, SEND_SECONDS at most.
    """
    _send_from_outside([(group_of(item.channel), message(encode(item))) for item in announcements])


def notify_from_outside(kind: str, *fields: object) -> None:
    """Calls the handler of this kind in every server, as announce_from_outside."""
    _send_from_outside([(EVERYBODY, message([[kind, *fields]]))])


def _send_from_outside(sent: Sequence[tuple[str, Message]]) -> None:
    try:
        async_to_sync(_send_once)(sent)
    except FAILURES as error:
        log.warning("Servers were not notified of what was published: %r", error)


async def _send_once(sent: Sequence[tuple[str, Message]]) -> None:
    layer = cast("RedisLayer", get_channel_layer()).of_loop()
    async with asyncio.timeout(SEND_SECONDS):
        await layer.group_send_many(sent)
    await layer.close()

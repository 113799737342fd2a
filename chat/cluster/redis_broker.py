"""The broker through Redis: what happens in one process is announced to the others through the
channel layer, and what they announce is delivered here (design.md section 4, "Between processes").

A process has one layer channel, which is in the group of each channel with subscribers here.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Final

from msgspec import msgpack
from redis.exceptions import RedisError

from chat.cluster.messages import (
    EVERYBODY,
    FLUSH_SECONDS,
    RETRY_SECONDS,
    SEND_SECONDS,
    Announcer,
    Inbox,
    Message,
    encode,
    first_of,
    message,
)
from chat.cluster.redis_layer import RedisLayer, channel_layer
from chat.counts import counts
from chat.fanout.announcements import Announcement
from chat.fanout.broker import BrokerStatus, Handlers, StartTask
from chat.fanout.hub import Hub

log = logging.getLogger("chat.broker")

JOIN_SECONDS: Final = 2.0
LINGER_SECONDS: Final = 5.0
JOINS_AT_ONCE: Final = 100
FAILURES: Final = (RedisError, OSError, TimeoutError)


def group_of(channel: str) -> str:
    """Group names are limited to 100 ASCII characters."""
    return f"c.{hashlib.blake2b(channel.encode(), digest_size=20).hexdigest()}"


# --- the broker ---------------------------------------------------------------------------------


class RedisBroker:
    """Keeps its connection up from `start` to `stop`; nobody but `start` and `subscribe` waits for
    Redis."""

    _hub: Hub
    _inbox: Inbox
    _tasks: Sequence[asyncio.Task[None]] = ()

    def __init__(self, node_id: str, layer: RedisLayer) -> None:
        self._node_id = node_id
        self._node_group = f"n.{node_id}"
        self._layer = layer.of_loop()
        self._announcer = Announcer(node_id, self._layer.group_send_many, msgpack.encode, FAILURES)
        self._loop = asyncio.get_running_loop()
        self._own: str | None = None  # its layer channel, while it is connected
        self._subscribed: set[str] = set()
        self._changing: dict[str, asyncio.Task[None]] = {}  # whose group is being joined or left
        self._lost = asyncio.Event()
        self._connected = asyncio.Event()  # once
        self._away = False  # it could not be connected, and the log says so

    @property
    def status(self) -> BrokerStatus:
        connected = self._own is not None and not self._announcer.has_lost
        return BrokerStatus.CONNECTED if connected else BrokerStatus.DISCONNECTED

    @property
    def backlog(self) -> int:
        return self._announcer.backlog

    @property
    def lag(self) -> float:
        return self._inbox.lag

    # --- what goes out ----------------------------------------------------------------------

    def announce(self, announcement: Announcement) -> None:
        group = group_of(announcement.channel)
        self._announcer.put(group, encode(announcement), announcement.size)

    def notify(self, kind: str, *fields: object) -> None:
        """Calls the handler of this kind in every other process; never waits."""
        self._announcer.put(EVERYBODY, [kind, *fields])

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
        self._hub = hub
        self._inbox = Inbox(self._node_id, hub, check, handlers, msgpack.decode)
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
            self._inbox.check()
            await first_of(
                self._receive(own),
                self._announcer.probe(self._node_group, self._inbox),
                self._lost.wait(),
            )
        except FAILURES as error:
            if own is not None:
                counts.broker_failures += 1
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
        self._layer.reconnected = self._inbox.check
        return own

    async def _join_all(self) -> None:
        for channels in batched(self._hub.channels(), JOINS_AT_ONCE):
            await asyncio.gather(*map(self.subscribe, channels))
        if self._lost.is_set():
            raise ConnectionError("not all channels could be joined")

    async def _receive(self, own: str) -> None:
        while True:
            try:
                self._inbox.take(await self._layer.receive(own))
            except (ValueError, TypeError):  # the layer's own form is not kept
                self._inbox.drop()


# --- from a process that serves nobody ----------------------------------------------------------


def announce_from_outside(announcements: Sequence[Announcement]) -> None:
    """From a task or a command to the servers. Where Redis is away, they find by themselves what is
    stored.

    Not on an event loop: it waits, SEND_SECONDS at most.
    """
    _send_from_outside(
        [
            (group_of(item.channel), message(msgpack.encode([encode(item)])))
            for item in announcements
        ]
    )


def notify_from_outside(kind: str, *fields: object) -> None:
    """Calls the handler of this kind in every server, as announce_from_outside."""
    _send_from_outside([(EVERYBODY, message(msgpack.encode([[kind, *fields]])))])


def _send_from_outside(sent: Sequence[tuple[str, Message]]) -> None:
    sender = _sender()
    sending = asyncio.run_coroutine_threadsafe(_send(sent, sender.turn), sender.loop)
    try:
        sending.result(SEND_SECONDS + 1)  # its thread may not run, as at the process's end
    except FAILURES as error:
        sending.cancel()
        log.warning("Servers were not notified of what was published: %r", error)


@dataclass(slots=True, eq=False)
class _Sender:
    """Keeps its connection open: to begin one for each publication takes 4 ms."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # so there is one connection


_senders: dict[int, _Sender] = {}  # by process: after a fork, the parent has its thread


def _sender() -> _Sender:
    """This process's; begun by the first thread that asks."""
    process = os.getpid()
    if process not in _senders:
        new = _Sender()
        if _senders.setdefault(process, new) is new:
            threading.Thread(target=new.loop.run_forever, name="announcer", daemon=True).start()
        else:
            new.loop.close()
    return _senders[process]


async def _send(sent: Sequence[tuple[str, Message]], turn: asyncio.Lock) -> None:
    """Not sent again where the connection breaks: ephemeral messages could arrive twice."""
    layer = channel_layer().of_loop()
    async with asyncio.timeout(SEND_SECONDS), turn:
        try:
            await layer.renew()
            await layer.group_send_many(sent)
        except BaseException:
            layer.reset()
            raise

"""The link to the other processes through the channel layer: kept up, joined to the groups of the
channels that are listened to here, and read (design.md section 4, "Between processes").

Nobody waits for it. What goes out is `announcer`'s.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from chat.cluster.announcer import FAILURES, RETRY_SECONDS, Announcer
from chat.cluster.envelope import DECODERS, EVERYBODY, VERSION, Message, group_of, group_of_node
from chat.cluster.redis_layer import RedisLayer
from chat.fanout.announcements import Announcement
from chat.fanout.hub import BrokerStatus

log = logging.getLogger("chat.broker")

JOIN_SECONDS: Final = 2.0
LINGER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 5.0
MISSED_PROBES: Final = 2
LAST_WORDS_SECONDS: Final = 1.0
JOINS_AT_ONCE: Final = 100


class Lost(Exception):
    """The link must begin anew."""


class RedisBroker:
    """A process's link to the others: one layer channel of its own, in the group of each channel
    that somebody here listens to.

    `deliver` gets what others announce, `check` is called where something may have been missed,
    `channels` tells the channels listened to here, `listens` whether one is; `handlers` take what
    nodes tell each other. `announce`, `tell` and `tell_all` are its announcer's.
    """

    def __init__(
        self,
        node_id: str,
        layer: RedisLayer,
        *,
        deliver: Callable[[Announcement], object],
        check: Callable[[], object],
        channels: Callable[[], Iterable[str]],
        listens: Callable[[str], bool],
        handlers: dict[str, Callable[..., object]],
    ) -> None:
        self._node_id = node_id
        self._layer = layer
        self._deliver = deliver
        self._check = check
        self._channels = channels
        self._listens = listens
        self._handlers = {**handlers, "check": check}
        self._loop = asyncio.get_running_loop()
        self._own: str | None = None  # its layer channel; None: it is not connected
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._joined: set[str] = set()
        self._announcer = Announcer(node_id, layer)
        self._running: asyncio.Task[None] | None = None
        self._heard = 0
        self._lost = asyncio.Event()
        self._linked = asyncio.Event()  # once

    @property
    def status(self) -> BrokerStatus:
        connected = self._own is not None and not self._announcer.dropped
        return BrokerStatus.CONNECTED if connected else BrokerStatus.DISCONNECTED

    def announce(self, announcement: Announcement) -> None:
        self._announcer.announce(announcement)

    def tell(self, node_id: str, kind: str, *what: Any) -> None:
        self._announcer.tell(node_id, kind, *what)

    def tell_all(self, kind: str, *what: Any) -> None:
        self._announcer.tell_all(kind, *what)

    # --- in ---------------------------------------------------------------------------------

    async def _receive_for_ever(self, own: str) -> None:
        while True:
            self._read(await self._layer.receive(own))

    def _read(self, received: Message) -> None:
        if received["from"] == self._node_id:
            self._heard += 1
        elif received["v"] > VERSION:  # of a newer process: what it changed is in the database
            self._check()
        else:
            for kind, *what in received["entries"]:
                self._take(kind, what)

    def _take(self, kind: str, what: list[Any]) -> None:
        try:
            if kind in DECODERS:
                self._deliver(DECODERS[kind](*what))
            else:
                self._handlers[kind](*what)
        except Exception:  # the outermost edge: the next one is read all the same
            log.exception("What another process told could not be read")

    # --- which channels ---------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """Returns when what others announce in it from now on arrives here. While the link is down
        it returns at once: the channel's head is looked at until it is up again."""
        if self._own is None or channel in self._joined:
            return
        joining = self._joining.get(channel)
        if joining is None:
            joining = self._joining[channel] = asyncio.create_task(self._join(channel, self._own))
            joining.add_done_callback(lambda task: self._joining.pop(channel, None))
        await asyncio.shield(joining)

    async def _join(self, channel: str, own: str) -> None:
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._layer.group_add(group_of(channel), own)
            self._joined.add(channel)
        except (*FAILURES, RuntimeError, asyncio.CancelledError) as error:
            log.warning("A channel could not be joined in Redis: %r", error)
            self._lost.set()

    def unsubscribe(self, channel: str) -> None:
        """Nobody here listens to it any more; a client that only reconnects finds it joined."""
        self._loop.call_later(LINGER_SECONDS, self._leave, channel)

    def _leave(self, channel: str) -> None:
        if channel in self._joined and not self._listens(channel) and self._own is not None:
            self._joined.discard(channel)
            task = asyncio.create_task(self._discard(channel, self._own))
            self._joining[channel] = task
            task.add_done_callback(lambda task: self._joining.pop(channel, None))

    async def _discard(self, channel: str, own: str) -> None:
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._layer.group_discard(group_of(channel), own)
        except FAILURES as error:
            log.warning("A channel could not be left in Redis: %r", error)

    # --- life -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Ends the link once what was announced before has left, as far as Redis takes it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._announcer.all_sent.wait()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def start(self) -> None:
        """Keeps the link up from now on, until `stop`; returns when it is up for the first time, or
        cannot be: whoever subscribes before would not hear the others."""
        self._running = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._linked.wait(), JOIN_SECONDS)

    async def _run(self) -> None:
        sending = asyncio.create_task(self._announcer.send_for_ever())
        try:
            while True:
                await self._session()
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            sending.cancel()
            await self._layer.close()

    async def _session(self) -> None:
        """One life of the link, from its first connection to its end."""
        self._lost.clear()
        try:
            self._own = own = await self._connect()
            await self._join_all(own)
            log.info("Linked to the other processes through Redis")
            self._linked.set()
            self._check()
            await self._until_lost(own)
        except (*FAILURES, Lost) as error:
            if self._own is not None:
                log.warning("The link through Redis begins anew: %s", error)
        finally:
            self._own = None
            self._joined.clear()
            self._layer.begin_anew()

    async def _connect(self) -> str:
        async with asyncio.timeout(JOIN_SECONDS):
            own: str = await self._layer.new_channel()
            for group in (EVERYBODY, group_of_node(self._node_id)):
                await self._layer.group_add(group, own)
        self._layer.watch(self._check)
        return own

    async def _join_all(self, own: str) -> None:
        listened = list(self._channels())
        for at in range(0, len(listened), JOINS_AT_ONCE):
            part = listened[at : at + JOINS_AT_ONCE]
            await asyncio.gather(*(self._join(channel, own) for channel in part))
        if self._lost.is_set():
            raise Lost("not all channels could be joined")

    async def _until_lost(self, own: str) -> None:
        tasks = [
            asyncio.create_task(self._receive_for_ever(own)),
            asyncio.create_task(self._probe_for_ever()),
            asyncio.create_task(self._lost.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _probe_for_ever(self) -> None:
        """A subscribed connection can go deaf while it looks alive: what this process tells itself
        must come back."""
        missed = 0
        while missed < MISSED_PROBES:
            heard = self._heard
            self._announcer.send(group_of_node(self._node_id), ["probe"])
            await asyncio.sleep(PROBE_SECONDS)
            missed = missed + 1 if self._heard == heard else 0
        raise Lost("what this process tells itself does not come back")

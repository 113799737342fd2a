"""This process as the others see it, and what it holds: its writer, its hub, its connections.

Starts with lifespan or, where the server speaks none (daphne), with the first use.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from channels.layers import get_channel_layer

from chat.cluster.head_check import HeadCheck
from chat.cluster.leases import LEASE_SHARE, RegisterNode, RemoveNode, RenewLease
from chat.cluster.peers import alive_beside, ended_on, revoked
from chat.cluster.reaper import Reaper
from chat.conf import settings
from chat.fanout.hub import Hub
from chat.fanout.member_throttle import MemberThrottle
from chat.fanout.send_queue import Flusher
from chat.protocol import ids
from chat.protocol.errors import CloseCode, ProtocolError
from chat.runtime.admission import Admission, Person
from chat.runtime.connection import LiveConnection
from chat.runtime.liveness import Liveness
from chat.runtime.metadata import Metadata
from chat.runtime.scheduler import run_for_ever as run_schedules
from chat.runtime.storage_expiry import report_for_ever as report_expiries
from chat.store.changes_after import read_changes
from chat.store.reads import close_pool, read
from chat.store.writer import Writer

if TYPE_CHECKING:
    from chat.cluster.redis_broker import RedisBroker
    from chat.cluster.redis_layer import RedisLayer

log = logging.getLogger("chat.runtime.node")

VERSION: Final = "0.1.0"
DRAIN_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 1.0
NOT_HEARD: Final = "what is published there arrives here late, and only where it is stored."


class Node:
    """One per process and event loop; `current()` gives it, started."""

    def __init__(self) -> None:
        self.id = ids.new_id(int(time.time() * 1000))
        self.hub = Hub(read_changes)
        self.loop = asyncio.get_running_loop()
        self._outside = HeadCheck(self.hub)
        self.writer = Writer(self.loop, self.hub.announce, self._outside.notice)
        self.connections: dict[str, LiveConnection] = {}
        self.member_throttle = MemberThrottle(self.hub.is_behind)
        self.metadata = Metadata(
            self.id,
            self.connections,
            lambda: self.broker,
            self.writer,
            self.member_throttle,
            self.outlast,
        )
        self.broker: RedisBroker | None = None
        if settings.REDIS_URL:
            self.broker = self._redis_broker()
            self.hub.broker = self.broker
        self.draining = False
        self._liveness = Liveness(
            settings.CONNECTION_IDLE_SECONDS, settings.KEEP_ALIVE_SECONDS, self.connections
        )
        self.admission = Admission()
        self.flusher = Flusher(self.loop)
        self._outlasting: set[asyncio.Task[None]] = set()
        self._lease_seconds = settings.NODE_LEASE_SECONDS * LEASE_SHARE
        self.reaper = Reaper(self.id, self._lease_seconds, self.writer, self.member_throttle)
        self._recurring: list[asyncio.Task[None]] = []

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Registers this process; raises SERVICE_UNAVAILABLE where the database is away."""
        self.writer.start()
        try:
            await self._register()
        except BaseException:
            await self.writer.stop()  # another node will try, with a thread of its own
            raise
        self._recurring = [asyncio.create_task(chore) for chore in self._chores()]
        if self.broker is not None:
            await self.broker.start()

    def _redis_broker(self) -> "RedisBroker":
        from chat.cluster.redis_broker import RedisBroker  # with Redis' client: a third of a second

        return RedisBroker(
            self.id,
            cast("RedisLayer", get_channel_layer()),
            deliver=self.hub.deliver,
            check=self._outside.notice,
            channels=self.hub.channels,
            listens=self.hub.has_subscribers,
            handlers={
                "ask umd": self.metadata.asked,
                "answer umd": self.metadata.answered,
                "bar": lambda *person: self.admission.bar(person),
            },
        )

    def bar(self, person: Person) -> None:
        """Refuses who has abused a connection for a moment, in all processes."""
        self.admission.bar(person)
        if self.broker is not None:
            self.broker.tell_all("bar", *person)

    def _chores(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the connections until the node stops."""
        chores = [
            *(self._check_for_ever(), self._beat_for_ever(), self._outside.watch()),
            self.reaper.reap_for_ever(),
            run_schedules(self.writer),
            report_expiries(self.writer),
        ]
        if settings.WEBHOOK_URL:
            from chat.webhooks.sender import Webhook  # its client takes a third of a second

            webhook = Webhook(self.writer, settings.WEBHOOK_URL, settings.WEBHOOK_SECRET)
            chores.append(webhook.run())
        return chores

    async def _register(self) -> None:
        host = socket.gethostname()
        dead = await read(ended_on, host)
        if self.broker is None:
            for other in await read(alive_beside, dead):
                log.warning("%s serves from this database, too: %s", other, NOT_HEARD)
        taken = await self.writer.submit(
            RegisterNode(self.id, host, os.getpid(), VERSION, self._lease_seconds, dead)
        )
        self.reaper.left_over.update(taken)
        self.reaper.renewed()

    async def drain(self) -> None:
        """Closes every connection, and lets no more in."""
        self.draining = True
        await self._close_all()

    async def _close_all(self) -> None:
        """With 1012, over about a second: all who are closed at once would come back at once
        (protocol.md section 6)."""
        held = list(self.connections.values())
        pause = DRAIN_SECONDS / max(len(held), 10)
        for connection in held:
            connection.send_queue.close(CloseCode.RESTARTING)
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Removes this process's rows and ends its writer; what was submitted is committed."""
        self.draining = True
        for task in self._recurring:
            task.cancel()
        await asyncio.gather(*self._recurring, return_exceptions=True)  # some have a last word
        if self._outlasting:
            await asyncio.wait(self._outlasting)
        with contextlib.suppress(ProtocolError):  # its lease runs out, and others remove it
            await self.reaper.close_members()
            await self.writer.submit(RemoveNode(self.id))
        await self.writer.stop()
        if self.broker is not None:
            await self.broker.stop()
        close_pool()

    # --- what it holds ----------------------------------------------------------------------

    def add(self, connection: LiveConnection) -> None:
        self.connections[connection.id] = connection
        self._liveness.watch(connection)
        self.admission.enter(connection.address)

    def remove(self, connection: LiveConnection) -> None:
        if self.connections.pop(connection.id, None) is not None:
            self._liveness.forget(connection)
            self.admission.leave(connection.address)

    def outlast(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        """Begins `work`, and lets it finish also where who waits for it is cancelled: an abrupt
        close cancels (design.md section 4, "Clean-up")."""
        task = asyncio.create_task(work)
        self._outlasting.add(task)
        task.add_done_callback(self._outlasting.discard)
        return asyncio.shield(task)

    # --- what recurs ------------------------------------------------------------------------

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for connection in list(self.connections.values()):
                connection.send_queue.check_stalled()
            self._end_expired()
            self._liveness.run(self.loop.time())
            self.admission.forget_barred()

    def _end_expired(self) -> None:
        """Closes connections of the maximum age; all have the same, so the oldest come first."""
        now = self.loop.time()
        for connection in self.connections.values():
            if connection.ends_at > now:
                break
            connection.send_queue.close(CloseCode.GOING_AWAY)

    async def _beat_for_ever(self) -> None:
        """Beside the ticks: a database that hangs holds up the lease, and not who is closed."""
        while True:
            await asyncio.sleep(settings.NODE_LEASE_SECONDS / 5)
            await self._beat()

    async def _beat(self) -> None:
        """Renews the lease, closes what somebody revoked and reads what somebody changed, in
        whatever process that was."""
        try:
            if not await self.writer.submit(RenewLease(self.id, self._lease_seconds)):
                await self._begin_anew()
            self.reaper.renewed()
        except ProtocolError as error:
            self.reaper.not_renewed()
            log.warning("The lease could not be renewed: %s", error.message)
            return
        try:
            for id in await read(revoked, self.id):
                if id in self.connections:
                    self.connections[id].send_queue.close(CloseCode.REVOKED)
            await self.metadata.catch_up()
        except ProtocolError as error:
            log.warning("What others decided of connections cannot be read yet: %s", error.message)

    async def _begin_anew(self) -> None:
        """Others found its lease expired, since it was stopped or cut off, and removed all it held:
        its clients come back to a row that is there (design.md section 4, "Nodes")."""
        log.error("This process was taken for dead: it registers again and closes its connections")
        await self._register()
        await self._close_all()


_nodes: dict[asyncio.AbstractEventLoop, asyncio.Task[Node]] = {}


async def current() -> Node:
    """This process's node, started; raises SERVICE_UNAVAILABLE where it cannot start yet."""
    loop = asyncio.get_running_loop()
    starting = _nodes.get(loop)
    if starting is None or (starting.done() and starting.exception() is not None):
        starting = _nodes[loop] = loop.create_task(_started())
    return await asyncio.shield(starting)


async def _started() -> Node:
    node = Node()
    await node.start()
    return node


def running() -> Node | None:
    """This process's node where one has started."""
    starting = _nodes.get(asyncio.get_running_loop())
    if starting is None or not starting.done() or starting.exception() is not None:
        return None
    return starting.result()


def of_process() -> Node | None:
    """The node that serves in this process, from whatever thread it is asked for."""
    for loop, starting in list(_nodes.items()):
        started = starting.done() and not starting.cancelled() and starting.exception() is None
        if started and loop.is_running():
            return starting.result()
    return None

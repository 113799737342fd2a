"""This process's part of the site: builds what it consists of, starts it and stops it.

Starts with lifespan or, where the server speaks none (daphne), with the first use.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Coroutine
from functools import partial
from math import inf
from typing import Final

from chat.cluster.leases import LEASE_SHARE, Lease, Reaper, RemoveNode, alive, marked
from chat.cluster.messages import CHECK
from chat.cluster.postgresql_broker import PostgresqlBroker
from chat.conf import settings
from chat.counts import counts
from chat.fanout.broker import Broker, BrokerStatus, Handlers, MemoryBroker
from chat.fanout.hub import Hub
from chat.fanout.member_throttle import MemberThrottle
from chat.fanout.send_queue import Flusher
from chat.logs import name_process
from chat.protocol import ids
from chat.protocol.errors import CloseCode, ProtocolError
from chat.runtime.background import BackgroundTasks, Make
from chat.runtime.backlogs import Backlogs
from chat.runtime.connection import BAR, Connections
from chat.runtime.live import LOOKED_AT, LivePage
from chat.runtime.metadata import READ_AGAIN, Metadata
from chat.runtime.occupancy import Occupancy
from chat.runtime.order import FOLLOW, FOLLOWS, Order
from chat.runtime.recurring import (
    check_heads,
    repeat,
    report_expiries,
    run_schedules,
    take_from_outbox,
)
from chat.runtime.restrictions import Restrictions
from chat.store.changes_after import changes_after
from chat.store.databases import connection
from chat.store.reads import close_pool, read
from chat.store.writer import Writer

log = logging.getLogger("chat.runtime.node")

CHECK_SECONDS: Final = 1.0
MARKS_SECONDS: Final = 0.5  # so long, at most, what is revoked elsewhere goes on, without a broker
MARKED: Final = "marked"  # a notification, as it is on the wire
OUTBOX_FILLED: Final = "outbox filled"  # a notification, with the id of the node that looks first
OTHERS_LOOK_SECONDS: Final = 0.1


class Node:
    """One per process and event loop; `current()` gives it, started."""

    def __init__(self) -> None:
        self.id = ids.new_id(int(time.time() * 1000))
        name_process(self.id)
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.failed = False  # a background task failed too often: `serve` ends this process
        self.background = BackgroundTasks(self._fail)
        self._broker = _broker(self.id)
        self.hub = Hub(lambda *gap: read(changes_after, *gap), self._broker)
        self._check_heads = asyncio.Event()  # something may have been committed elsewhere
        self.outbox_filled = asyncio.Event()
        self.writer = Writer(
            *(self.loop, self.hub.announce, self._check_heads.set),
            lambda error: self.background.note_failure("writer"),
            lambda: self.draining,
        )
        self.flusher = Flusher(self.loop)
        self.member_throttle = MemberThrottle(self.hub.is_behind)
        self.connections = Connections(
            self._broker.notify, settings.CONNECTION_IDLE_SECONDS, settings.KEEP_ALIVE_SECONDS
        )
        self.metadata = Metadata(
            self.connections, self._broker, self.writer, self.member_throttle, self.outlast
        )
        self.restrictions = Restrictions(self.connections, self.writer, self.loop.time)
        self._marked = asyncio.Event()  # marks may have changed elsewhere
        self.order = Order(self.connections, self._broker)
        self.occupancy = Occupancy(self.hub.followers)
        self.lease = Lease(self.id, self.writer, settings.NODE_LEASE_SECONDS * LEASE_SHARE)
        self.backlogs = Backlogs()
        self.live = LivePage(
            *(self.id, self.hub, self.connections, self.writer),
            *(self.background, self._broker.notify),
        )
        self.reaper = Reaper(self.lease, self.writer, self.member_throttle, self._check_everywhere)
        self._check_due = inf  # of connections, by the monotonic clock
        self._outlasting: set[asyncio.Task[None]] = set()
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
        work = self._recurring_work().items()
        self._recurring = [self.background.start(name, make) for name, make in work]
        handlers: Handlers = {
            BAR: self.connections.bar_here,
            READ_AGAIN: self.metadata.read_again,
            OUTBOX_FILLED: self._look_into_outbox,
            MARKED: self._marked.set,
            FOLLOW: self.order.follow,
            FOLLOWS: self.order.follows,
            LOOKED_AT: self.live.look,
        }
        await self._broker.start(self.hub, self._check_heads.set, handlers, self.background.start)

    @property
    def ending(self) -> bool:
        """Whether it lets nobody in any more."""
        return self.draining or self.failed

    async def drain(self) -> None:
        """Closes every connection, and lets no more in."""
        self.draining = True
        await self.connections.close_all()

    async def stop(self) -> None:
        """Removes this process's rows and ends its writer; what was submitted is committed."""
        self.draining = True
        for task in self._recurring:
            task.cancel()
        if self._recurring:
            await asyncio.wait(self._recurring)  # some finish a step
        self.lease.end()
        if self._outlasting:
            await asyncio.wait(self._outlasting)
        with contextlib.suppress(ProtocolError):  # its lease runs out, and others remove it
            await self.reaper.close_all()
            await self.writer.submit(RemoveNode(self.id))
        await self.writer.stop()
        await self._broker.stop()
        close_pool()

    def _fail(self) -> None:
        self.failed = True

    async def _register(self) -> None:
        if self._broker.status is BrokerStatus.SINGLE_PROCESS:
            for other in (await read(alive)).values():
                log.warning(
                    "%s may serve from this database, too: what is published there arrives here"
                    " late, and only where it is stored",
                    other,
                )
        await self.lease.register()
        await self.restrictions.load()

    def outlast(self, work: Coroutine[None, None, None]) -> Awaitable[None]:
        """Begins `work`, and lets it finish also where who waits for it is cancelled: an abrupt
        close cancels (design.md section 4, "Clean-up")."""
        task = asyncio.create_task(work)
        self._outlasting.add(task)
        task.add_done_callback(self._end_outlasting)
        return asyncio.shield(task)

    def _end_outlasting(self, task: asyncio.Task[None]) -> None:
        self._outlasting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Work that was to be finished failed", exc_info=error)

    # --- what recurs ------------------------------------------------------------------------

    def _recurring_work(self) -> dict[str, Make]:
        """What runs beside the connections until the node stops."""
        writer, beat = self.writer, settings.NODE_LEASE_SECONDS / 5
        expiries = partial(report_expiries, writer, set[str]())
        work: dict[str, Make] = {
            "check of connections": partial(
                repeat, "Checking connections", self._check_connections
            ),
            # Each beside the others: what a database holds up that hangs waits alone.
            "lease": partial(
                repeat,
                "Renewing the lease",
                self._renew_lease,
                first_after=beat,
                retry_seconds=beat / 2,
            ),
            "reading of marks": partial(
                repeat, "Reading what others changed", self._read_marks, sooner=self._marked
            ),
            "head check": partial(
                repeat, "Checking heads", partial(check_heads, self.hub), sooner=self._check_heads
            ),
            "reaper": partial(repeat, "Looking for what has ended", self.reaper.reap),
            "removal": partial(repeat, "Removing what has ended", self.reaper.remove),
            "scheduler": partial(run_schedules, writer, self.restrictions.is_banned),
            "quotas": partial(repeat, "Counting what people hold", writer.quotas.count),
            "occupancy": self.occupancy.run,
            "storage expiry": partial(repeat, "Reporting expiries", expiries),
            "live page": partial(
                repeat, "Telling the live page", self.live.check, sooner=self.live.asked
            ),
        }
        if connection.vendor == "postgresql":
            work["outbox"] = partial(take_from_outbox, writer, self.outbox_filled)
        if settings.WEBHOOK_URL:
            from chat.webhooks import Webhook  # its client takes a third of a second

            work["webhook"] = Webhook(writer, settings.WEBHOOK_URL, settings.WEBHOOK_SECRET).run
        return work

    def _check_everywhere(self) -> None:
        self._check_heads.set()
        self._broker.notify(CHECK)

    def _look_into_outbox(self, first: str) -> None:
        """At once where this is the first to look; else when that one should be done."""
        self.loop.call_later(OTHERS_LOOK_SECONDS * (first != self.id), self.outbox_filled.set)

    async def _check_connections(self) -> float:
        """By how much it comes late, so does all else."""
        counts.loop_lag_seconds.observe(max(0.0, time.monotonic() - self._check_due))
        self.connections.check(self.loop.time())
        self._check_due = time.monotonic() + CHECK_SECONDS
        return CHECK_SECONDS

    async def _renew_lease(self) -> float:
        """Where others found it expired, since this process was stopped or cut off, they have
        removed all it held: its clients come back to a row that is there (design.md section 4,
        "Nodes")."""
        if not await self.lease.renew():
            counts.lease_losses += 1
            log.error(
                "This process was taken for dead: it registers again and closes its connections"
            )
            await self._register()
            self.outlast(self.connections.close_all())
        return settings.NODE_LEASE_SECONDS / 5

    async def marked(self) -> None:
        """Connections were marked, or restrictions have changed: in effect here when this returns,
        and as soon as they hear of it in the other processes."""
        self._broker.notify(MARKED)
        with contextlib.suppress(ProtocolError):  # it is committed, and will be read
            await self._read_marks()

    async def _read_marks(self) -> float:
        """Closes what somebody revoked, reads what somebody changed, and enforces restrictions that
        somebody made, in other processes."""
        number, revoked, stale = await read(marked, self.id)
        for id in revoked:
            self.connections.close(id, CloseCode.REVOKED)
        for id in stale:
            self.metadata.read_again(id)
        await self.restrictions.follow(number)
        return MARKS_SECONDS


def _broker(node_id: str) -> Broker:
    if settings.REDIS_URL:
        from chat.cluster.redis_broker import RedisBroker  # with Redis' client: a third of a second
        from chat.cluster.redis_layer import channel_layer

        return RedisBroker(node_id, channel_layer())
    return PostgresqlBroker(node_id) if connection.vendor == "postgresql" else MemoryBroker()


_nodes: dict[asyncio.AbstractEventLoop, Node] = {}  # those that have started
_starting: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


async def current() -> Node:
    """This process's node, started; raises SERVICE_UNAVAILABLE where it cannot start yet."""
    loop = asyncio.get_running_loop()
    if loop not in _nodes:
        if loop not in _starting or _starting[loop].done():
            _starting[loop] = loop.create_task(_start())
        await asyncio.shield(_starting[loop])
    return _nodes[loop]


async def _start() -> None:
    for ended in [loop for loop in _starting if loop.is_closed()]:  # those of tests
        _nodes.pop(ended, None)
        del _starting[ended]
    node = Node()
    await node.start()
    _nodes[node.loop] = node


def running() -> Node | None:
    """This process's node where one has started."""
    return _nodes.get(asyncio.get_running_loop())


def of_process() -> Node | None:
    """The node that serves in this process, from whatever thread it is asked for."""
    return next((node for node in list(_nodes.values()) if node.loop.is_running()), None)

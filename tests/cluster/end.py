"""The link between processes, two of them in one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from chat.fanout.announcements import Announcement, Change
from chat.fanout.broker import Broker, BrokerStatus
from chat.fanout.hub import Hub
from chat.protocol.events import encoded
from chat.runtime.background import BackgroundTasks

LIMIT_SECONDS = 15
EVENT = encoded(b'{"event":"chat","data":"\xe2\x9d\xa4"}')


class End[B: Broker]:
    """One process: what it was told, and how often it looked at the heads of its channels. It
    stands in for the hub, too."""

    def __init__(self, broker: B, **handlers: Any) -> None:
        self.got: list[Announcement] = []
        self.checks = 0
        self.listened: set[str] = set()
        self.has_subscribers = self.listened.__contains__
        self.channels = lambda: list(self.listened)
        self._news = asyncio.Event()
        self._handlers = handlers
        self.broker = broker

    async def start(self) -> None:
        start = BackgroundTasks(lambda: None).start
        await self.broker.start(cast("Hub", self), self._check, self._handlers, start)

    @property
    def connected(self) -> bool:
        return self.broker.status is BrokerStatus.CONNECTED

    def deliver(self, item: Announcement) -> None:
        self.got.append(item)
        self._news.set()

    def _check(self) -> None:
        self.checks += 1
        self._news.set()

    async def join(self, channel: str) -> None:
        self.listened.add(channel)
        await self.broker.subscribe(channel)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.05)


@asynccontextmanager
async def running(*processes: End[Any]) -> AsyncIterator[None]:
    try:
        for process in processes:
            await process.start()
            assert process.connected
        for process in processes:
            await process.until(lambda process=process: process.connected)
        yield
    finally:
        for process in processes:
            await process.broker.stop()


def change(number: int, channel: str = "c", **more: Any) -> Change:
    return Change(channel, number - 1, number, EVENT, **more)


def shown(item: Announcement) -> tuple[Any, ...]:
    where, sender = (item.channel, item.previous), (item.origin, item.echo)
    if isinstance(item, Change):
        return *where, item.number, item.event.payload, *sender, item.key
    return *where, *item.frames, *sender

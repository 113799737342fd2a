"""A connection's HTTP call, answered by another process than its own (P4)."""

import asyncio
from typing import Any

import pytest

from chat.fanout.broker import BrokerStatus, MemoryBroker
from chat.runtime import order
from chat.runtime.connection import Connections
from chat.runtime.order import Order
from tests.support.live import live

ID = "connection"


class Link(MemoryBroker):
    """Reaches the other process; what it is told waits until `open` is set."""

    status = BrokerStatus.CONNECTED

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self._telling: list[asyncio.Task[None]] = []
        self.other: Order

    def notify(self, kind: str, *fields: Any) -> None:
        self._telling.append(asyncio.create_task(self._tell(kind, fields)))

    async def _tell(self, kind: str, fields: Any) -> None:
        await self.open.wait()
        {order.FOLLOW: self.other.follow, order.FOLLOWS: self.other.follows}[kind](*fields)


@pytest.fixture
async def two() -> tuple[Order, Order]:
    """Of the process that is asked, and of the one that holds the connection."""
    asked, holder = (Order(Connections(lambda *_: None, 600, 570), Link()) for _ in range(2))
    for here, there in ((asked, holder), (holder, asked)):
        assert isinstance(here.broker, Link)
        here.broker.other = there
    holder.connections.add(live(id=ID))
    return asked, holder


async def test_the_holder_knows_before_the_call_is_answered(two: tuple[Order, Order]) -> None:
    asked, holder = two
    behind = asyncio.create_task(asked.behind(ID, "c", 7))
    for each in (asked, holder):
        await asyncio.sleep(0)
        assert not behind.done()
        each.broker.open.set()
    await behind
    connection = holder.connections.get(ID)
    assert connection is not None
    assert connection.session.last_numbers == {"c": 7}


async def test_a_holder_that_does_not_answer_is_waited_for_half_a_second(
    two: tuple[Order, Order],
) -> None:
    asked, holder = two
    now = asyncio.get_running_loop().time
    begun = now()
    await holder.behind(ID, "c", 7)  # it is the holder
    asked.broker.status = BrokerStatus.DISCONNECTED
    await asked.behind(ID, "c", 7)
    assert now() - begun < 0.4
    asked.broker.status = BrokerStatus.CONNECTED
    await asked.behind(ID, "c", 7)
    assert 0.4 < now() - begun < 5
    assert not asked._asked

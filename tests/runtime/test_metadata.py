"""Metadata that another process than the connection's own was asked to change."""

import asyncio
from typing import Any

import pytest

from chat.fanout.broker import BrokerStatus, MemoryBroker
from chat.models import Connection, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.session import Session
from chat.runtime import metadata
from chat.runtime import node as nodes
from chat.runtime.connection import Connections
from chat.runtime.metadata import Metadata
from chat.store.operations.connections import UpdateUmd
from tests.support.databases import in_thread
from tests.support.live import live
from tests.support.written import opening, subscribing
from tokens.claims import parse_claims

CLAIMS = parse_claims(
    b'{"exp":4000000000,"scope":"connect","channels":{"*":{"subscribe":true}}}', scope="connect"
)
OLD, NEW, NEWER = '"old"', '"new"', '"newer"'


class Link(MemoryBroker):
    """What the asker takes for its broker: it reaches the holder unless it is not `opened`."""

    def __init__(self) -> None:
        self.status = BrokerStatus.CONNECTED
        self.opened = True
        self.holder: Metadata | None = None

    def notify(self, kind: str, *fields: Any) -> None:
        assert kind == "read again"
        if self.opened and self.holder is not None:
            self.holder.read_again(*fields)


class Two:
    """A process that holds a connection in `channel`, and one that is asked to change it."""

    def __init__(self, node: nodes.Node, session: Session, channel: str) -> None:
        self.node = node
        self.link = Link()
        self.session = session
        self.channel = channel
        self.connection = live(id=session.connection_id)
        self.connection.session = session
        node.connections.add(self.connection)
        self.holder = self.link.holder = node.metadata
        nobody = Connections(self.link.notify, 600, 570)
        self.asker = Metadata(nobody, self.link, node.writer, node.member_throttle, node.outlast)

    async def change(self, umd: str, channel: str | None = None) -> None:
        """Over the other process, which knows the connection from the database alone."""
        own, channels = channel is None, (channel or self.channel,)
        update = UpdateUmd(self.session.connection_id, umd, channels, own)
        await self.asker.change_elsewhere(self.session, update, propagate=own)

    @property
    def known(self) -> tuple[str, str]:
        """What the connection's own process goes by: its own, its subscription's."""
        return self.session.umd, self.session.subscriptions[self.channel].umd

    async def settle(self) -> None:
        """Returns when what either has begun is done."""
        while self.node._outlasting:
            await asyncio.wait(self.node._outlasting)

    async def stored(self) -> tuple[str, str, bool]:
        """The same in the database, and whether it is to be read again."""

        def read() -> tuple[str, str, bool]:
            row = Connection.objects.get(id=self.session.connection_id)
            own = Subscription.objects.get(connection=row, channel__name=self.channel)
            return row.umd, own.umd, row.stale

        return await in_thread(read)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """A node looks for what others changed when it starts, and then only when a test says so."""
    read_marks, looked = nodes.Node._read_marks, asyncio.Event()

    async def look(node: nodes.Node) -> float:
        await read_marks(node)
        looked.set()
        return 3600.0

    monkeypatch.setattr(nodes.Node, "_read_marks", look)
    return looked


@pytest.fixture
async def two(looked: asyncio.Event, here: nodes.Node, channel: str) -> Two:
    await looked.wait()
    row = opening(here.id, umd=OLD)
    await here.writer.submit(row)
    await here.writer.submit(subscribing(row.id, channel, umd=OLD))
    session = Session(row.id, CLAIMS)
    session.set_umd(OLD)
    session.resume(channel, None, "", OLD)
    return Two(here, session, channel)


async def test_its_holder_goes_by_it_before_the_call_is_answered(two: Two) -> None:
    await two.change(NEW)
    assert two.known == (NEW, NEW)
    assert await two.stored() == (NEW, NEW, False)
    await two.change(NEWER, two.channel)
    assert two.known == (NEW, NEWER)
    assert await two.stored() == (NEW, NEWER, False)


async def test_what_is_refused_changes_nothing(two: Two) -> None:
    with pytest.raises(ProtocolError) as refused:
        await two.change(NEW, f"{two.channel}-left")
    assert refused.value.code is ErrorCode.NOT_SUBSCRIBED
    assert (await two.stored())[:2] == two.known == (OLD, OLD)


@pytest.mark.parametrize("what", ["no link", "no answer"])
async def test_without_its_holder_it_is_found_in_the_database(
    two: Two, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "READ_POLLS", 3)
    two.link.opened = False
    if what == "no link":
        two.link.status = BrokerStatus.DISCONNECTED
    await two.change(NEW)
    assert two.known == (OLD, OLD)
    assert await two.stored() == (NEW, NEW, True)
    await two.node._read_marks()
    await two.settle()
    assert two.known == (NEW, NEW)
    assert await two.stored() == (NEW, NEW, False)


async def test_it_is_read_only_once_a_subscription_that_begins_is_there(two: Two) -> None:
    """And reaches it, though the other process did not know of it."""
    later = f"{two.channel}-later"
    async with two.connection.changing:
        changing = asyncio.create_task(two.change(NEW))
        async with asyncio.timeout(10):
            while not (await two.stored())[2]:
                pass
        assert two.known == (OLD, OLD)
        await two.node.writer.submit(subscribing(two.session.connection_id, later, umd=OLD))
        two.session.resume(later, None, "", OLD)
    await changing
    assert two.known == (NEW, NEW)
    assert two.session.subscriptions[later].umd == NEW
    assert await two.stored() == (NEW, NEW, False)


async def test_a_later_change_by_its_holder_stays(two: Two) -> None:
    two.link.opened, two.link.status = False, BrokerStatus.DISCONNECTED
    await two.change(NEW)
    update = UpdateUmd(two.session.connection_id, NEWER, (two.channel,), own=True)
    await two.holder.change(two.session, update)
    two.holder.read_again(two.session.connection_id)
    await two.settle()
    assert two.known == (NEWER, NEWER)
    assert await two.stored() == (NEWER, NEWER, False)


async def test_what_could_not_be_read_is_read_the_next_time(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.link.status = BrokerStatus.DISCONNECTED

    async def away(operation: object) -> Any:
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")

    two.link.opened = False
    await two.change(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(two.node.writer, "submit", away)
        two.holder.read_again(two.session.connection_id)
        await two.settle()
    assert two.known == (OLD, OLD)
    assert await two.stored() == (NEW, NEW, True)
    await two.node._read_marks()
    await two.settle()
    assert two.known == (NEW, NEW)
    two.holder.read_again("a connection of another process")

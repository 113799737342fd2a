"""This process as the others see it: its row, its lease, and who is gone (P5; design.md 4)."""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker, Settings

from chat.cluster.leases import RenewLease, TakeOver
from chat.connections.frame_loop import close_connection
from chat.models import Connection, Node, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.runtime import connection as connections
from chat.runtime import node as nodes
from tests.support.configuring import Setter
from tests.support.databases import default_database, in_thread
from tests.support.live import live, recording
from tests.support.written import do, node, opening, subscribing
from tokens.claims import parse_claims

HERE = socket.gethostname()
CLAIMS = parse_claims(b'{"exp":4000000000,"scope":"connect"}', scope="connect")


@pytest.fixture(autouse=True)
def _no_other_nodes(request: pytest.FixtureRequest) -> None:
    if "database" in request.fixturenames:
        request.getfixturevalue("database")
        Node.objects.all().delete()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            pass


class Away:
    """A database that the writer cannot reach."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._patch.setattr("chat.store.writer._cursor", self._refuse)

    def _refuse(self) -> Any:
        raise OSError("away")

    def back(self) -> None:
        self._patch.undo()


async def test_a_process_registers_itself_and_removes_itself(database: str) -> None:
    node = nodes.Node()
    await node.start()
    row = await in_thread(Node.objects.get)
    assert (row.id, row.host, row.pid) == (node.id, HERE, os.getpid())
    lease = row.lease_until - row.started_at
    assert lease == timedelta(seconds=10)  # two thirds of NODE_LEASE_SECONDS
    await node.stop()
    assert not await in_thread(Node.objects.exists)


async def test_its_connections_go_with_it(here: nodes.Node, channel: str) -> None:
    row = opening(here.id)
    await here.writer.submit(row)
    await here.writer.submit(subscribing(row.id, channel))
    await here.stop()
    assert not await in_thread(Connection.objects.filter(id=row.id).exists)
    assert not await in_thread(Subscription.objects.filter(channel__name=channel).exists)


async def test_a_process_with_its_host_name_and_number_stays(database: str) -> None:
    """Containers share both."""
    other = node(host=HERE, pid=os.getpid())
    await in_thread(lambda: do(other))
    starting = nodes.Node()
    await starting.start()
    await starting.stop()
    assert await in_thread(Node.objects.filter(id=other.id).exists)


async def test_the_lease_is_renewed(database: str, set_chat: Setter) -> None:
    set_chat(NODE_LEASE_SECONDS=1)
    node = nodes.Node()
    await node.start()
    first = (await in_thread(Node.objects.get)).lease_until

    async def renewed() -> bool:
        return (await in_thread(Node.objects.get)).lease_until > first

    await eventually(renewed)
    await node.stop()


async def test_a_process_that_was_taken_for_dead_begins_anew(
    here: nodes.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "DRAIN_SECONDS", 0.01)
    row, (send_queue, sent) = opening(here.id), recording()
    await here.writer.submit(row)
    here.connections.add(live(send_queue, id=row.id))
    await here.writer.submit(RenewLease(here.id, -1))
    await here.writer.submit(TakeOver("another"))
    assert not await in_thread(Connection.objects.filter(node_id=here.id).exists)
    await here._renew_lease()

    async def closed() -> bool:
        await asyncio.sleep(0)
        return [message["code"] for message in sent] == [1012]

    await eventually(closed)
    assert await in_thread(Node.objects.filter(id=here.id).exists)
    assert await here.writer.submit(opening(here.id))
    await here._renew_lease()
    assert len(sent) == 1
    assert not here.draining


@pytest.fixture
def _no_database(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock(), default_database(f"sqlite:///{tmp_path / 'no' / 'db'}"):
        yield


@pytest.mark.usefixtures("_no_database")
async def test_a_node_that_cannot_start_leaves_no_thread() -> None:
    """Each handshake tries again while the database is away."""
    for _ in range(3):
        with pytest.raises(ProtocolError) as refused:
            await nodes.current()
        assert refused.value.code is ErrorCode.SERVICE_UNAVAILABLE
    assert nodes.running() is None
    assert not any(thread.name == "writer" for thread in threading.enumerate())


async def test_a_process_has_one_node_however_many_ask(database: str) -> None:
    first, *others = await asyncio.gather(*(nodes.current() for _ in range(20)))
    assert others == [first] * 19
    assert nodes.running() is first
    assert await in_thread(Node.objects.count) == 1
    await first.stop()


# --- what it holds ---------------------------------------------------------------------------


async def test_a_connection_that_ended_while_the_database_was_away_is_removed_later(
    here: nodes.Node, channel: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    row = opening(here.id)
    await here.writer.submit(row)
    await here.writer.submit(subscribing(row.id, channel))
    away = Away(monkeypatch)
    connection = live(id=row.id)
    here.connections.add(connection)
    await close_connection(here, connection)
    assert len(here.connections) == 0
    assert await in_thread(Connection.objects.filter(id=row.id).exists)
    away.back()

    async def removed() -> bool:  # by this or by the reaper's own task
        await here.reaper.close_backlog()
        return not await in_thread(Connection.objects.filter(id=row.id).exists)

    await eventually(removed)
    assert not await in_thread(Subscription.objects.filter(channel__name=channel).exists)
    assert here.reaper.backlog == {}


async def test_a_revoked_connection_is_closed(here: nodes.Node) -> None:
    row, (send_queue, sent) = opening(here.id), recording()
    await here.writer.submit(row)
    here.connections.add(live(send_queue, id=row.id))
    await in_thread(lambda: Connection.objects.filter(id=row.id).update(revoked=True))
    await here._read_marks()
    assert [message["code"] for message in sent] == [4403]


async def test_connections_from_a_network_are_counted(set_chat: Setter) -> None:
    set_chat(CONNECTIONS_PER_ADDRESS=2)
    connections, address = nodes.Node().connections, "2001:db8::1"
    several = [live(address=each) for each in (address, "2001:db8::2", "192.0.2.1")]
    for connection in several:
        connections.add(connection)
    assert not connections.has_place("2001:db8:0:0:ffff::")
    assert connections.has_place("2001:db8:0:1::")
    with connections.arriving("::ffff:192.0.2.1"):
        assert not connections.has_place("192.0.2.1")
    for _ in range(2):
        connections.remove(several[0])
    assert connections.has_place(address)
    connections.note_full(address)  # in all processes
    assert not connections.has_place(address)


async def test_the_oldest_are_ended_at_their_maximum_age() -> None:
    node, now = nodes.Node(), asyncio.get_running_loop().time()
    closed = []
    for ends_at in (now - 2, now - 1, now + 60):
        send_queue, sent = recording()
        node.connections.add(live(send_queue, ends_at=ends_at))
        closed.append(sent)
    node.connections.check(now)
    assert [[message["code"] for message in sent] for sent in closed] == [[1001], [1001], []]


async def test_draining_closes_all_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DRAIN_SECONDS", 0.02)
    node = nodes.Node()
    closed = []
    for _ in range(5):
        send_queue, sent = recording()
        node.connections.add(live(send_queue))
        closed.append(sent)
    task = asyncio.create_task(node.drain())
    await asyncio.sleep(0)
    assert node.draining
    order = [message["code"] for sent in closed for message in sent]
    assert order == [1012]  # the others in their turn
    await task
    assert [[message["code"] for message in sent] for sent in closed] == [[1012]] * 5


async def test_work_outlasts_a_caller_that_is_cancelled() -> None:
    node, done, go = nodes.Node(), [], asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.append(True)

    caller = asyncio.ensure_future(node.outlast(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()

    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    assert done == [True]

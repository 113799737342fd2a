"""Processes that are no more: their members are removed, by one of the others (P5)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from chat.cluster import leases
from chat.cluster.leases import Lease, Reaper, RenewLease, TakeOver
from chat.fanout.member_throttle import MemberThrottle
from chat.models import Connection, Member, Node, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store.writer import Writer
from tests.support.databases import in_thread
from tests.support.written import do, new_id, node, opening, subscribing

LEASE = 0.2


@pytest.fixture(autouse=True)
def _no_other_nodes(database: str) -> None:
    Node.objects.all().delete()


@dataclass
class Dead:
    """A node whose lease has run out, with a member and a plain subscriber."""

    id: str
    member: str
    plain: str
    channel: str


@pytest.fixture
def dead(database: str, channel: str) -> Dead:
    row, presence = node(lease_seconds=600), f"presence.{channel}"
    do(row)
    member, plain = opening(row.id), opening(row.id)
    do(member, plain)
    do(subscribing(member.id, presence, node_id=row.id), subscribing(plain.id, channel))
    do(subscribing(member.id, channel))
    do(RenewLease(row.id, -1))
    return Dead(row.id, member.id, plain.id, presence)


class Process:
    def __init__(self, writer: Writer, announced: list[Any]) -> None:
        self.id = new_id()
        self.announced = announced
        self.checks: list[None] = []  # of all heads, everywhere
        self.lease = Lease(self.id, writer, LEASE)
        throttle = MemberThrottle(lambda channel: False)
        self.reaper = Reaper(self.lease, writer, throttle, lambda: self.checks.append(None))


@pytest.fixture
async def process(database: str) -> AsyncIterator[Process]:
    announced: list[Any] = []
    writer = Writer(asyncio.get_running_loop(), announced.append)
    writer.start()
    process = Process(writer, announced)
    await writer.submit(node(id=process.id))
    yield process
    await writer.stop()


def left(dead: Dead) -> tuple[bool, set[str], int]:
    connections = Connection.objects.filter(id__in=[dead.member, dead.plain])
    return (
        Node.objects.filter(id=dead.id).exists(),
        set(connections.values_list("id", flat=True)),
        Member.objects.filter(removed=False, channel__name=dead.channel).count(),
    )


async def reap(reaper: Reaper) -> None:
    await reaper.take_over()
    await reaper.close_backlog()


async def refuse(operation: Any) -> Any:
    raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")


async def grow_old(lease: Lease) -> None:
    """A lease passes, in which its own is renewed as it should be."""
    async with asyncio.timeout(10):
        while not lease.judges:
            await asyncio.sleep(LEASE / 10)
            lease.note(renewed=True)


async def test_what_an_expired_node_held_is_removed_and_told(
    process: Process, dead: Dead, caplog: pytest.LogCaptureFixture
) -> None:
    process.lease.note(renewed=True)
    await grow_old(process.lease)
    await reap(process.reaper)
    assert await in_thread(lambda: left(dead)) == (False, set(), 0)
    assert f"(node {dead.id})" in caplog.text
    assert process.checks  # it may have committed what it did not announce any more
    assert [each.channel for each in process.announced] == [dead.channel]
    assert b"memberRemoved" in process.announced[0].event.payload
    rows = Subscription.objects.filter(connection_id__in=[dead.member, dead.plain])
    assert not await in_thread(rows.exists)


async def test_one_who_was_away_itself_takes_nobody_for_dead(process: Process, dead: Dead) -> None:
    """After a database outage every lease has run out: each first renews its own."""
    untouched = (True, {dead.member, dead.plain}, 1)
    await reap(process.reaper)  # it has not renewed its lease yet
    process.lease.note(renewed=True)
    await reap(process.reaper)  # not for a whole lease
    assert await in_thread(lambda: left(dead)) == untouched
    await grow_old(process.lease)
    process.lease.note(renewed=False)
    await reap(process.reaper)
    process.lease.note(renewed=True)
    await reap(process.reaper)
    await grow_old(process.lease)
    await asyncio.sleep(LEASE)  # it stood still
    await reap(process.reaper)
    process.lease.note(renewed=True)
    await reap(process.reaper)
    assert await in_thread(lambda: left(dead)) == untouched
    await grow_old(process.lease)
    await reap(process.reaper)
    assert await in_thread(lambda: left(dead)) == (False, set(), 0)


async def test_a_node_that_lives_is_left_alone(process: Process, dead: Dead) -> None:
    await in_thread(lambda: do(RenewLease(dead.id, 600)))
    process.lease.note(renewed=True)
    await grow_old(process.lease)
    await reap(process.reaper)
    assert await in_thread(lambda: left(dead)) == (True, {dead.member, dead.plain}, 1)
    await in_thread(lambda: do(RenewLease(dead.id, -1)))  # and found out though it had long to go
    async with asyncio.timeout(10):
        while await in_thread(lambda: left(dead)) != (False, set(), 0):
            process.lease.note(renewed=True)
            await reap(process.reaper)


async def test_of_several_processes_one_takes_over(
    process: Process, dead: Dead, database: str
) -> None:
    others = [new_id() for _ in range(4)]
    await in_thread(lambda: do(*(node(id=each) for each in others)))

    def take(id: str) -> Any:
        return do(TakeOver(id))[0]

    taken = await asyncio.gather(*(in_thread(lambda id=id: take(id)) for id in others))
    assert sorted(taken, key=len) == [{}, {}, {}, {dead.member: (dead.channel,)}]
    assert await in_thread(lambda: left(dead)) == (False, {dead.member}, 1)
    owner = others[[bool(each) for each in taken].index(True)]
    row = await in_thread(lambda: Connection.objects.get(id=dead.member))
    assert row.node_id == owner
    # Should that one die in between, another takes over what it took.
    await in_thread(lambda: do(RenewLease(owner, -1)))
    process.lease.note(renewed=True)
    await grow_old(process.lease)
    await reap(process.reaper)
    assert await in_thread(lambda: left(dead)) == (False, set(), 0)


async def test_what_cannot_be_closed_yet_is_closed_later(
    process: Process, dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(process.reaper.writer, "submit", refuse)
        await process.reaper.close(dead.member, (dead.channel,))
        await process.reaper.close_backlog()
    assert process.reaper.backlog == {dead.member: (dead.channel,)}
    await process.reaper.close_backlog()
    assert process.reaper.backlog == {}
    assert await in_thread(lambda: left(dead)) == (True, {dead.plain}, 0)


async def test_one_that_cannot_be_closed_yet_holds_up_no_other(
    process: Process, dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, released = process.reaper.writer.submit, asyncio.Event()

    async def wait(operation: Any) -> Any:
        if operation.id == dead.member:
            await released.wait()
        return await submit(operation)

    monkeypatch.setattr(process.reaper.writer, "submit", wait)
    monkeypatch.setattr(leases, "REAP_SECONDS", 0.01)
    monkeypatch.setattr(leases, "AT_ONCE", 1)
    process.reaper.backlog = {dead.member: (dead.channel,), dead.plain: ()}
    async with asyncio.timeout(10):
        await process.reaper.close_backlog()
        while await in_thread(lambda: left(dead)) != (True, {dead.member}, 1):
            pass
        released.set()
        while await in_thread(lambda: left(dead)) != (True, set(), 0):
            pass


async def test_the_last_act_of_a_process_is_to_close_its_members(
    process: Process, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, presence = opening(process.id), f"presence.{channel}"
    await process.reaper.writer.submit(connection)
    joining = subscribing(connection.id, presence, node_id=process.id)
    await process.reaper.writer.submit(joining)
    await process.reaper.close_all()
    members = Member.objects.filter(removed=False, channel__name=presence)
    assert not await in_thread(members.exists)


@pytest.fixture
async def late(process: Process, channel: str) -> str:
    """A member that has left too often: it is to leave in a while."""
    connection, presence = opening(process.id), f"presence.{channel}"
    await process.reaper.writer.submit(connection)
    await process.reaper.writer.submit(subscribing(connection.id, presence, node_id=process.id))
    while process.reaper.member_throttle._take({presence: "jim"}, leaving=False):
        pass
    await process.reaper.leave(connection.id, presence, "jim")
    assert process.reaper.leaving == {connection.id: {presence: "jim"}}
    return connection.id


def present(channel: str) -> bool:
    """Whether it has a member, who then has a subscription."""
    members = Member.objects.filter(removed=False, channel__name=f"presence.{channel}")
    held = Subscription.objects.filter(channel__name=f"presence.{channel}")
    assert members.count() == held.count()
    return members.exists()


async def test_who_is_to_leave_leaves_as_soon_as_it_may(
    process: Process, late: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper = process.reaper
    await reaper.leave_late()
    assert await in_thread(lambda: present(channel))
    assert await in_thread(lambda: Subscription.objects.get(connection_id=late).ended)
    reaper.member_throttle = MemberThrottle(lambda channel: False)
    with monkeypatch.context() as away:
        away.setattr(reaper.writer, "submit", refuse)
        await reaper.leave_late()
    await reaper.leave_late()
    assert not await in_thread(lambda: present(channel))
    assert reaper.leaving[late] == {}


async def test_who_is_to_leave_leaves_with_its_connection(
    process: Process, late: str, channel: str
) -> None:
    """Not at once, either."""
    reaper = process.reaper
    await reaper.close(late)
    await reaper.close_backlog()
    assert await in_thread(lambda: present(channel))
    assert await in_thread(lambda: Connection.objects.get(id=late).revoked)
    reaper.member_throttle = MemberThrottle(lambda channel: False)
    await reaper.close_backlog()
    assert not await in_thread(lambda: present(channel))
    assert (reaper.backlog, reaper.leaving) == ({}, {})


async def test_who_is_to_leave_comes_back_as_the_same_or_not_at_all(
    process: Process, late: str, channel: str
) -> None:
    reaper, presence = process.reaper, f"presence.{channel}"
    with pytest.raises(ProtocolError), reaper.staying(late, {presence: "pam"}):
        pass
    with pytest.raises(ProtocolError), reaper.staying(late, {presence: "jim"}):
        raise ProtocolError(ErrorCode.SERVICE_UNAVAILABLE, "Away.")
    assert reaper.leaving == {late: {presence: "jim"}}
    process.announced.clear()
    with reaper.staying(late, {presence: "jim"}):
        again = subscribing(late, presence, node_id=process.id, quiet=True)
        await reaper.writer.submit(again)
    reaper.member_throttle = MemberThrottle(lambda channel: False)
    await reaper.leave_late()
    assert process.announced == []
    assert await in_thread(lambda: present(channel))
    other = subscribing(late, presence, node_id=process.id, quiet=True, umd="1")
    with pytest.raises(ProtocolError, match="too often"):
        await reaper.writer.submit(other)


async def test_who_has_another_subscription_leaves_at_once(
    process: Process, late: str, channel: str
) -> None:
    """Though its member has changed too often: it stays."""
    reaper, presence = process.reaper, f"presence.{channel}"
    others = [opening(process.id) for _ in range(20)]
    for other in others:
        await reaper.writer.submit(other)
        await reaper.writer.submit(subscribing(other.id, presence, node_id=process.id))
    ending = (reaper.close(other.id, (presence,), {presence: "jim"}) for other in others)
    await asyncio.gather(*ending)
    assert (reaper.backlog, reaper.leaving) == ({}, {late: {presence: "jim"}})
    assert await in_thread(lambda: present(channel))

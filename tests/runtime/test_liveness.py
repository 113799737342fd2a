"""What is due for connections as time goes by; the clock here is a number."""

import asyncio
import weakref
from typing import Any

import pytest

from chat.fanout.send_queue import SendQueue
from chat.protocol.session import Session
from chat.runtime.connection import LiveConnection
from chat.runtime.liveness import PING_SECONDS, SLACK, Liveness
from tests.support.live import recording
from tests.support.written import new_id
from tokens.claims import Claims

START = 1000.0


class Process:
    """The liveness of a process, and its open connections."""

    def __init__(self, idle: float, keep_alive: float) -> None:
        self.connections: dict[str, LiveConnection] = {}
        self.liveness = Liveness(idle, keep_alive, self.connections)
        self.run = self.liveness.run

    def watch(self, connection: LiveConnection) -> None:
        self.connections[connection.id] = connection
        self.liveness.watch(connection)

    def forget(self, connection: LiveConnection) -> None:
        del self.connections[connection.id]
        self.liveness.forget(connection)


def live(**claims: Any) -> tuple[LiveConnection, list[Any]]:
    send_queue, sent = recording()
    send_queue.sent_at = START
    payload = Claims("{}", frozenset({"connect"}), exp=START, **claims)
    session = Session(new_id(), payload)
    return LiveConnection(session, send_queue, "", float("inf"), START, START), sent


def said(sent: list[dict[str, Any]]) -> list[Any]:
    """The texts and close codes that were sent."""
    return [message.get("text", message.get("code")) for message in sent]


async def test_an_idle_one_is_closed_when_its_time_is_over_and_not_before() -> None:
    process, (connection, frames) = Process(600, 570), live()
    process.watch(connection)
    process.run(START + 599)
    assert said(frames) == []
    process.run(START + 600)
    assert said(frames) == [1001]


@pytest.mark.parametrize("moved", ["heard_at", "send_queue.sent_at"])
async def test_a_message_either_way_begins_the_time_anew(moved: str) -> None:
    process, (connection, frames) = Process(600, 570), live()
    process.watch(connection)
    owner, _, name = moved.rpartition(".")
    setattr(getattr(connection, owner) if owner else connection, name, START + 100)
    process.run(START + 699)
    assert said(frames) == []
    process.run(START + 700)
    assert said(frames) == [1001]


@pytest.mark.parametrize(("keep_alive", "every"), [(60, 60), (10_000, 570)])
async def test_keep_alive_comes_in_time_whatever_the_settings(
    keep_alive: float, every: float
) -> None:
    process, (connection, frames) = Process(600, keep_alive), live(keep_alive=True)
    process.watch(connection)
    process.run(START + every - 1)
    assert said(frames) == []
    for turn in range(1, 4):
        process.run(START + turn * every)
        connection.send_queue.sent_at = START + turn * every
    assert said(frames) == ['{"event":"hotsock.keepAlive","data":{}}'] * 3


async def test_a_missed_heartbeat_ends_it_unless_a_frame_is_being_handled() -> None:
    process, (connection, frames) = Process(600, 570), live(heartbeat_timeout=30)
    process.watch(connection)
    connection.beat_at = START + 20
    process.run(START + 49)
    connection.handling = True  # the heartbeat may wait behind it
    process.run(START + 50)
    assert said(frames) == []
    connection.handling = False
    process.run(START + 51)
    assert said(frames) == [4408]


async def test_who_has_gone_is_not_kept_in_memory() -> None:
    process, (connection, send_queue) = Process(600, 570), pinged(answers=1)
    process.watch(connection)
    process.forget(connection)
    gone = weakref.ref(send_queue)
    del connection, send_queue
    assert gone() is None


async def test_nothing_is_done_for_those_who_have_gone_and_they_are_not_kept() -> None:
    process = Process(600, 570)
    many = [live(heartbeat_timeout=30) for _ in range(SLACK)]
    for connection, _ in many:
        process.watch(connection)
    for connection, _ in many[1:]:
        process.forget(connection)
    assert len(process.liveness._heap) < SLACK * 2
    for connection, _ in many[1:]:  # and once more, as after a busy hour
        process.watch(connection)
        process.forget(connection)
    assert len(process.liveness._heap) < SLACK * 2
    process.run(START + 30)
    assert said(many[0][1]) == [4408]
    assert not any(frames for _, frames in many[1:])
    await asyncio.sleep(0)


class Pinged(SendQueue):
    """One whose client answers so many pings."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.pings = 0
        self.closing, self.sent_at = False, START

    def ping(self) -> bool:
        self.pings += 1
        return self.pings <= self.answers


def pinged(answers: int) -> tuple[LiveConnection, Pinged]:
    send_queue = Pinged(answers)
    connection, _ = live()
    connection.send_queue = send_queue
    return connection, send_queue


async def test_each_is_pinged_in_its_turn_until_one_is_not_answered() -> None:
    process, (connection, send_queue) = Process(600, 570), pinged(answers=2)
    process.watch(connection)
    seen = []
    for seconds in (PING_SECONDS - 1, *(PING_SECONDS * times for times in range(1, 6))):
        process.run(START + seconds)
        seen.append(send_queue.pings)
    assert seen == [0, 1, 2, 3, 3, 3]


async def test_who_has_gone_is_not_pinged() -> None:
    process, (connection, send_queue) = Process(600, 570), pinged(answers=9)
    process.watch(connection)
    process.forget(connection)
    process.run(START + PING_SECONDS)
    assert send_queue.pings == 0

"""What is due for connections as time goes by; the clock here is a number."""

import asyncio
import weakref
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chat.fanout.send_queue import SendQueue
from chat.protocol.session import Session
from chat.runtime.connection import (
    BAR_SECONDS,
    PING_SECONDS,
    Connections,
    LiveConnection,
)
from tests.support.live import recording
from tests.support.written import new_id
from tokens.claims import Claims

START = 1000.0


def process(idle: float = 600, keep_alive: float = 570) -> Connections:
    return Connections(lambda *fields: None, idle, keep_alive)


def live(**claims: Any) -> tuple[LiveConnection, list[Any]]:
    send_queue, sent = recording()
    send_queue.sent_at = START
    payload = Claims("{}", 2, frozenset({"connect"}), exp=START, **claims)
    session = Session(new_id(), payload)
    return LiveConnection(session, send_queue, "", float("inf"), START, START), sent


def said(sent: list[dict[str, Any]]) -> list[Any]:
    """The texts and close codes that were sent."""
    return [message.get("text", message.get("code")) for message in sent]


async def test_many_are_closed_evenly_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, closed_at = START, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + 0.004  # a timer is late, the more so on a busy machine

    monkeypatch.setattr(asyncio, "get_running_loop", lambda: SimpleNamespace(time=lambda: now))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    connections = process()
    for number in range(18_000):
        queue = SimpleNamespace(close=lambda code: closed_at.append((code, now)))
        connections._open[str(number)] = cast("LiveConnection", SimpleNamespace(send_queue=queue))
    await connections.close_all()
    assert {code for code, _ in closed_at} == {1012}
    by_second = Counter(int(moment - START) for _, moment in closed_at)
    assert by_second.total() == 18_000
    assert max(by_second) < 5
    assert min(by_second[second] for second in range(4)) > 0.9 * max(by_second.values())


async def test_an_idle_one_is_closed_when_its_time_is_over_and_not_before() -> None:
    connections, (connection, frames) = process(), live()
    connections.add(connection)
    connections.check(START + 599)
    assert said(frames) == []
    connections.check(START + 600)
    assert said(frames) == [1001]


@pytest.mark.parametrize("moved", ["heard_at", "send_queue.sent_at"])
async def test_a_message_either_way_begins_the_time_anew(moved: str) -> None:
    connections, (connection, frames) = process(), live()
    connections.add(connection)
    owner, _, name = moved.rpartition(".")
    setattr(getattr(connection, owner) if owner else connection, name, START + 100)
    connections.check(START + 699)
    assert said(frames) == []
    connections.check(START + 700)
    assert said(frames) == [1001]


@pytest.mark.parametrize(("keep_alive", "every"), [(60, 60), (10_000, 570)])
async def test_keep_alive_comes_in_time_whatever_the_settings(
    keep_alive: float, every: float
) -> None:
    connections, (connection, frames) = process(600, keep_alive), live(keep_alive=True)
    connections.add(connection)
    connections.check(START + every - 1)
    assert said(frames) == []
    for turn in range(1, 4):
        connections.check(START + turn * every)
        connection.send_queue.sent_at = START + turn * every
    assert said(frames) == ['{"event":"hotsock.keepAlive","data":{}}'] * 3


async def test_a_missed_heartbeat_ends_it_unless_a_frame_is_being_handled() -> None:
    connections, (connection, frames) = process(), live(heartbeat_timeout=30)
    connections.add(connection)
    connection.beat_at = START + 20
    connections.check(START + 49)
    connection.handling = True  # the heartbeat may wait behind it
    connections.check(START + 50)
    assert said(frames) == []
    connection.handling = False
    connections.check(START + 51)
    assert said(frames) == [4408]


async def test_a_frame_being_handled_does_not_prolong_the_longest_time() -> None:
    connections, (connection, frames) = process(), live(heartbeat_timeout=30)
    connections.add(connection)
    connection.beat_at, connection.ends_at = START, START + 40
    connection.handling = True
    connections.check(START + 39)
    assert said(frames) == []
    connections.check(START + 40)
    assert said(frames) == [4408]


async def test_who_has_gone_is_not_kept_in_memory() -> None:
    connections, (connection, send_queue) = process(), pinged(answers=1)
    connections.add(connection)
    connections.remove(connection)
    gone = weakref.ref(send_queue)
    del connection, send_queue
    assert gone() is None


async def test_nothing_is_done_for_those_who_have_gone() -> None:
    connections, (connection, frames) = process(), live(heartbeat_timeout=30)
    connections.add(connection)
    connections.check(START)
    connections.remove(connection)
    connections.check(START + 30)
    assert said(frames) == []


class Pinged(SendQueue):
    """One whose client answers so many pings."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.pings = 0
        self.closing, self.sent_at = False, START

    def check_stalled(self) -> bool:
        return False

    def ping(self) -> bool:
        self.pings += 1
        return self.pings <= self.answers


def pinged(answers: int) -> tuple[LiveConnection, Pinged]:
    send_queue = Pinged(answers)
    connection, _ = live()
    connection.send_queue = send_queue
    return connection, send_queue


async def test_each_is_pinged_in_its_turn_until_one_is_not_answered() -> None:
    connections, (connection, send_queue) = process(), pinged(answers=2)
    connections.add(connection)
    seen = []
    for seconds in (PING_SECONDS - 1, *(PING_SECONDS * times for times in range(1, 6))):
        connections.check(START + seconds)
        seen.append(send_queue.pings)
    assert seen == [0, 1, 2, 3, 3, 3]


async def test_who_has_gone_is_not_pinged() -> None:
    connections, (connection, send_queue) = process(), pinged(answers=9)
    connections.add(connection)
    connections.remove(connection)
    connections.check(START + PING_SECONDS)
    assert send_queue.pings == 0


def test_who_was_closed_for_abuse_is_barred_alone_and_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notified: list[tuple[object, ...]] = []
    entrance, now = Connections(lambda *bar: notified.append(bar), 600, 570), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    entrance.bar(("a", None), "sent too much")
    assert notified == [("bar", "a", None)]  # the other processes
    assert caplog.messages == ["A client at a sent too much: it was closed, and is refused for 1 s"]
    assert entrance.is_barred("a", None)
    assert not entrance.is_barred("a", "jim")
    assert not entrance.is_barred("b", None)
    entrance.bar_here("2001:db8::1", "jim")
    assert entrance.is_barred("2001:db8::2", "jim")
    now += BAR_SECONDS
    assert not entrance.is_barred("a", None)
    entrance.check(now)
    assert not entrance.is_barred("a", None)

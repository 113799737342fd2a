"""One connection's unsent frames: in order, bounded, closed after what came before (P6)."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.fanout.send_queue import MAX_STALL_SECONDS, MAX_UNSENT_BYTES, AsgiSendQueue
from chat.protocol.errors import CloseCode
from chat.protocol.events import Event

BIG = Event(b"x" * 100_000)


class Socket:
    """An ASGI `send` that takes frames only while it is open, as a server does with its buffer."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.aborted = 0
        self.failing = False
        self._open = asyncio.Event()
        self._open.set()
        self._taken = asyncio.Event()
        self.send_queue = AsgiSendQueue(self.send, self.abort)

    async def send(self, message: Any) -> None:
        await self._open.wait()
        if self.failing:
            raise OSError("the client is gone")
        self.sent.append(message)
        self._taken.set()

    def abort(self) -> None:
        self.aborted += 1

    def block(self) -> None:
        self._open.clear()

    async def let_one_through(self) -> None:
        self._taken.clear()
        self._open.set()
        self._open.clear()  # who waits is woken, and whoever comes next waits again
        await asyncio.wait_for(self._taken.wait(), 5)

    async def unblock(self) -> None:
        self._open.set()
        await until_quiet()

    def push(self, *texts: str) -> None:
        for text in texts:
            self.send_queue.push(Event(text.encode()))

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def closes(self) -> list[tuple[int, str]]:
        """The codes and reasons of the close frames; each must be the last that was sent."""
        found = [message for message in self.sent if message["type"] == "websocket.close"]
        assert found in ([], self.sent[-1:])
        return [(message["code"], message["reason"]) for message in found]


class Clock:
    """The event loop's clock, set forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        start, self.later = loop.time(), 0.0
        monkeypatch.setattr(loop, "time", lambda: start + self.later)


async def until_quiet() -> None:
    """Returns when every task has ended."""
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


async def test_a_frame_leaves_at_once_and_no_task_remains() -> None:
    socket = Socket()
    socket.push("a", "b")
    assert socket.sent == [
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "text": "b"},
    ]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_cannot_leave_waits_in_its_order() -> None:
    socket = Socket()
    socket.block()
    socket.push("a", "b", "c")
    assert socket.texts == []
    await socket.unblock()
    socket.push("d")
    assert socket.texts == ["a", "b", "c", "d"]


@given(st.lists(st.sampled_from(["push", "block", "unblock", "flusher", "close"])))
def test_frames_leave_once_in_order_and_close_ends_them(steps: list[str]) -> None:
    async def scenario() -> None:
        socket, expected, closed = Socket(), list[str](), False
        for at, step in enumerate(steps):
            match step:
                case "push":
                    socket.push(str(at))
                    expected += [] if closed else [str(at)]
                case "block":
                    socket.block()
                case "unblock":
                    await socket.unblock()
                case "flusher":
                    await asyncio.sleep(0)
                case "close":
                    socket.send_queue.close(CloseCode.RESTARTING)
                    closed = True
            assert socket.texts == expected[: len(socket.texts)]
        await socket.unblock()
        assert socket.texts == expected
        assert socket.closes == ([(1012, "")] if closed else [])
        assert socket.send_queue.closing is closed

    asyncio.run(scenario())


async def test_going_away_says_so() -> None:
    socket = Socket()
    socket.send_queue.close(CloseCode.GOING_AWAY)
    assert socket.closes == [(1001, "Going away")]
    assert socket.send_queue.ended


async def test_it_is_closed_once_with_the_first_code() -> None:
    socket = Socket()
    socket.block()
    socket.push("a")
    socket.send_queue.close(CloseCode.TOO_FAST)
    socket.send_queue.close(CloseCode.RESTARTING)
    socket.push("b")
    await socket.unblock()
    socket.send_queue.close(CloseCode.RESTARTING)
    assert socket.texts == ["a"]
    assert socket.closes == [(4429, "")]
    assert socket.send_queue.close_code == CloseCode.TOO_FAST


async def test_more_than_the_limit_unsent_is_dropped_and_closed() -> None:
    socket = Socket()
    socket.block()
    for _ in range(MAX_UNSENT_BYTES // len(BIG.payload)):
        socket.send_queue.push(BIG)
    assert not socket.send_queue.closing
    socket.send_queue.push(BIG)
    assert socket.send_queue.closing
    await socket.unblock()
    assert len(socket.texts) == 1  # what `send` had been given before
    assert socket.closes == [(4410, "")]
    assert not socket.aborted


async def test_there_is_room_once_what_waits_has_left() -> None:
    """At once while less than half of the limit waits."""
    socket = Socket()
    socket.block()
    pushed = MAX_UNSENT_BYTES // 2 // len(BIG.payload)
    for _ in range(pushed):
        socket.send_queue.push(BIG)
    await asyncio.wait_for(socket.send_queue.room(), 5)
    socket.send_queue.push(BIG)
    room = asyncio.create_task(socket.send_queue.room())
    for _ in range(pushed):
        await socket.let_one_through()
        assert not room.done()
    await socket.unblock()
    await asyncio.wait_for(room, 5)
    assert len(socket.sent) == pushed + 1


async def test_what_was_sent_does_not_count_as_unsent() -> None:
    socket = Socket()
    for _ in range(50):
        socket.block()
        for _ in range(10):
            socket.send_queue.push(BIG)
        await socket.unblock()
    assert len(socket.texts) == 500
    assert not socket.send_queue.closing


async def test_a_reader_that_stops_is_closed_and_one_that_never_resumes_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket, clock = Socket(), Clock(monkeypatch)
    socket.block()
    socket.push("a", "b")
    clock.later = MAX_STALL_SECONDS - 0.01
    assert not socket.send_queue.stalled()
    clock.later = MAX_STALL_SECONDS
    assert socket.send_queue.stalled()
    assert socket.send_queue.close_code == CloseCode.TOO_SLOW
    assert not socket.send_queue.stalled()
    clock.later = 2 * MAX_STALL_SECONDS
    assert socket.send_queue.stalled()
    assert socket.aborted == 1
    assert socket.send_queue.ended
    await socket.unblock()
    assert not socket.send_queue.stalled()
    assert (socket.sent, socket.aborted) == ([], 1)


async def test_a_reader_that_resumes_after_being_closed_learns_the_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket, clock = Socket(), Clock(monkeypatch)
    socket.block()
    socket.push("a", "b")
    clock.later = MAX_STALL_SECONDS
    socket.send_queue.stalled()
    await socket.unblock()
    assert socket.texts == ["a"]
    assert socket.closes == [(4410, "")]


async def test_a_reader_that_keeps_reading_is_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    socket, clock = Socket(), Clock(monkeypatch)
    for _ in range(5):
        socket.block()
        socket.push("a")
        clock.later += MAX_STALL_SECONDS * 0.9
        assert not socket.send_queue.stalled()
        await socket.unblock()


async def test_a_reader_that_takes_one_after_another_is_not_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket, clock = Socket(), Clock(monkeypatch)
    socket.block()
    socket.push(*"abcdef")
    for _ in range(4):
        clock.later += MAX_STALL_SECONDS * 0.9
        assert not socket.send_queue.stalled()
        await socket.let_one_through()
    assert socket.texts == list("abcd")
    clock.later += MAX_STALL_SECONDS
    assert socket.send_queue.stalled()
    await socket.unblock()


async def test_an_idle_connection_is_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    socket, clock = Socket(), Clock(monkeypatch)
    socket.push("a")
    clock.later = 3600
    assert not socket.send_queue.stalled()


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_client_that_is_gone_is_no_publishers_error(waiting: bool) -> None:
    socket = Socket()
    socket.failing = True
    if waiting:
        socket.block()
    socket.push("a", "b")
    await socket.unblock()
    assert socket.send_queue.ended
    socket.failing = False
    socket.push("c")
    socket.send_queue.close(CloseCode.RESTARTING)
    assert socket.sent == []


async def test_abandoning_sends_nothing_more() -> None:
    socket = Socket()
    socket.block()
    socket.push("a", "b")
    socket.send_queue.abandon()
    await socket.unblock()
    assert (socket.sent, socket.aborted) == ([], 1)

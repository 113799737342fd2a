"""A WebSocket over plain ASGI: frames in order, back-pressure, and its end (P6)."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.connections import asgi_socket
from chat.connections.asgi_socket import FULL_BYTES, AsgiSocket
from chat.fanout.send_queue import MAX_UNSENT_BYTES, Flusher, SendQueue
from chat.protocol.errors import CloseCode
from chat.protocol.events import encoded

BIG = encoded(b"x" * 100_000)


class Socket:
    """An ASGI server that takes frames only while it is open, as one does with its buffer."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.heard: list[str | bytes] = []
        self.ended = 0
        self.failing = False
        self.coming: asyncio.Queue[Any] = asyncio.Queue()
        self._open = asyncio.Event()
        self._open.set()
        self._taken = asyncio.Event()
        self.application = asyncio.Task(
            self._run(), loop=asyncio.get_running_loop(), eager_start=True
        )

    async def _run(self) -> None:
        self.asgi = AsgiSocket(self.coming.get, self._send)
        self.send_queue = SendQueue(self.asgi, Flusher(asyncio.get_running_loop()))
        self.asgi.open(self, self.send_queue)
        await self.asgi.run()

    async def _send(self, message: Any) -> None:
        await self._open.wait()
        if self.failing:
            raise OSError("the client is gone")
        self.sent.append(message)
        self._taken.set()

    def receive(self, frames: Iterable[str | bytes]) -> None:
        self.heard += frames

    def charge(self) -> bool:
        return True

    def end(self, code: int) -> None:
        self.ended += 1

    def block(self) -> None:
        self._open.clear()

    async def let_one_through(self) -> None:
        self._taken.clear()
        self._open.set()
        self._open.clear()  # who waits is woken, and whoever comes next waits again
        await asyncio.wait_for(self._taken.wait(), 5)

    async def unblock(self) -> None:
        self._open.set()
        await self.quiet()

    async def quiet(self) -> None:
        """Returns when nothing is being sent."""
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            own = {asyncio.current_task(), self.application}
            while others := asyncio.all_tasks() - own:
                await asyncio.wait(others)

    async def push(self, *texts: str) -> None:
        for text in texts:
            self.send_queue.push(encoded(text.encode()))
        await asyncio.sleep(0)

    async def leave(self) -> None:
        self.coming.put_nowait({"type": "websocket.disconnect"})
        await asyncio.wait_for(self.application, 5)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def closes(self) -> list[tuple[int, str]]:
        """The codes and reasons of the close frames; each must be the last that was sent."""
        found = [message for message in self.sent if message["type"] == "websocket.close"]
        assert found in ([], self.sent[-1:])
        return [(message["code"], message["reason"]) for message in found]


async def test_joined_frames_leave_as_texts_at_once_and_no_task_remains() -> None:
    socket = Socket()
    await socket.push("a", "b" * 200, "c" * 70_000)
    assert socket.texts == ["a", "b" * 200, "c" * 70_000]
    assert asyncio.all_tasks() == {asyncio.current_task(), socket.application}
    await socket.leave()
    assert socket.ended == 1


async def test_frames_come_in_their_order_and_pause_where_they_are_told_to() -> None:
    socket = Socket()
    for message in ({"text": "a"}, {"bytes": b"b", "text": None}):
        socket.coming.put_nowait({"type": "websocket.receive", **message})
    await asyncio.sleep(0)
    socket.asgi.pause_frames()
    for text in ("c", "d"):
        socket.coming.put_nowait({"type": "websocket.receive", "text": text})
    for _ in range(10):
        await asyncio.sleep(0)
    assert socket.heard == ["a", b"b", "c"]
    socket.asgi.resume_frames()
    await socket.leave()
    assert socket.heard == ["a", b"b", "c", "d"]


@given(st.lists(st.sampled_from(["push", "block", "unblock", "turn", "close"])))
def test_frames_leave_once_in_order_and_close_ends_them(steps: list[str]) -> None:
    async def scenario() -> None:
        socket, expected, closed = Socket(), list[str](), False
        for at, step in enumerate(steps):
            match step:
                case "push":
                    await socket.push(str(at))
                    expected += [] if closed else [str(at)]
                case "block":
                    socket.block()
                case "unblock":
                    await socket.unblock()
                case "turn":
                    await asyncio.sleep(0)
                case "close":
                    socket.send_queue.close(CloseCode.RESTARTING)
                    closed = True
            assert socket.texts == expected[: len(socket.texts)]
        await socket.unblock()
        assert socket.texts == expected
        assert socket.closes == ([(1012, "")] if closed else [])
        assert socket.send_queue.closing is closed
        await socket.leave()

    asyncio.run(scenario())


async def test_going_away_says_so() -> None:
    socket = Socket()
    socket.send_queue.close(CloseCode.GOING_AWAY)
    assert socket.closes == [(1001, "Going away")]
    assert socket.send_queue.ended
    await socket.leave()


async def test_daphne_gets_no_close_code_that_it_refuses() -> None:
    socket = Socket()
    socket.asgi._any_code = False
    socket.send_queue.close(CloseCode.GOING_AWAY)
    assert socket.closes == [(1000, "Going away")]
    await socket.leave()


async def test_more_than_the_limit_unsent_is_dropped_and_closed() -> None:
    socket = Socket()
    socket.block()
    for _ in range(MAX_UNSENT_BYTES // len(BIG.payload)):
        socket.send_queue.push(BIG)
        await asyncio.sleep(0)
    assert not socket.send_queue.closing
    socket.send_queue.push(BIG)
    await asyncio.sleep(0)
    assert socket.send_queue.closing
    await socket.unblock()
    assert len(socket.texts) == 1  # what the server had been given before
    assert socket.closes == [(4410, "")]
    await socket.leave()


async def test_frames_behind_a_full_server_leave_when_it_takes_them() -> None:
    socket = Socket()
    socket.block()
    sent = [str(number) * 10_000 for number in range(10)]
    for text in sent:
        await socket.push(text)
    assert FULL_BYTES < socket.asgi.get_write_buffer_size() < 2 * FULL_BYTES
    for _ in range(5):
        await socket.let_one_through()
    await socket.unblock()
    assert socket.texts == sent
    assert socket.asgi.get_write_buffer_size() == 0
    await socket.leave()


async def test_a_client_that_takes_not_even_its_close_frame_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi_socket, "MAX_STALL_SECONDS", 0.01)
    socket = Socket()
    socket.block()
    await socket.push("a", "b")
    socket.send_queue.close(CloseCode.TOO_SLOW)
    await asyncio.wait_for(socket.application, 5)
    await socket.unblock()
    assert (socket.sent, socket.ended) == ([], 1)


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_client_that_is_gone_is_no_publishers_error(waiting: bool) -> None:
    socket = Socket()
    socket.failing = True
    if waiting:
        socket.block()
    await socket.push("a", "b")
    await socket.unblock()
    assert socket.send_queue.ended
    socket.failing = False
    await socket.push("c")
    socket.send_queue.close(CloseCode.RESTARTING)
    assert socket.sent == []
    await socket.leave()


async def test_abandoning_sends_nothing_more() -> None:
    socket = Socket()
    socket.block()
    await socket.push("a", "b")
    socket.send_queue.abandon()
    await asyncio.wait_for(socket.application, 5)
    await socket.unblock()
    assert (socket.sent, socket.ended) == ([], 1)

"""Ready frames for one connection: in order, joined and written once a turn, bounded, closed after
what came before (P6)."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.fanout.send_queue import (
    BEHIND_BYTES,
    MAX_LASTING_BYTES,
    MAX_LASTING_SECONDS,
    MAX_PAUSE_SECONDS,
    MAX_STALL_SECONDS,
    MAX_UNSENT_BYTES,
    PORTION_BYTES,
    Batch,
    Flusher,
    Receiver,
    SendQueue,
)
from chat.protocol.errors import CloseCode
from chat.protocol.events import encoded

HIGH_WATER = 64 * 1024
BIG = b"x" * 10_000


class Transport:
    """Keeps what is written until `take`; above HIGH_WATER it says that it is full."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.unsent = 0
        self.full = False
        self.blocked = False
        self.failing = False
        self.send_queue: SendQueue

    def write(self, data: bytes) -> None:
        if self.failing:
            raise RuntimeError("out of order")
        self.writes.append(data)
        if self.blocked:
            self.unsent += len(data)
            if self.unsent > HIGH_WATER and not self.full:
                self.full = True
                self.send_queue.pause()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def take(self, size: int | None = None) -> None:
        """The client reads so many bytes, or all."""
        self.unsent = 0 if size is None else self.unsent - size
        if self.full and self.unsent <= HIGH_WATER // 4:
            self.full = False
            self.send_queue.resume()

    def unblock(self) -> None:
        """The client reads all that comes."""
        self.blocked = False
        self.take()


class Socket:
    """As a server holds it."""

    def __init__(self, flusher: Flusher) -> None:
        self.made = Transport()
        self.closes: list[tuple[int, str]] = []
        self.said_before_close: bytes | None = None
        self.aborted = 0
        self.send_queue = self.made.send_queue = SendQueue(self, flusher)

    @property
    def transport(self) -> Transport:
        return self.made

    def open(self, receiver: Receiver, send_queue: SendQueue) -> None: ...
    def ping(self) -> bool:
        return True

    def pause_frames(self) -> None: ...
    def resume_frames(self) -> None: ...

    def send_close(self, code: int, reason: str) -> None:
        self.closes.append((code, reason))
        self.said_before_close = self.said
        self.send_queue.end()  # as the server tells it

    def abort(self) -> None:
        self.aborted += 1

    @property
    def said(self) -> bytes:
        return b"".join(self.made.writes)

    def put(self, *frames: bytes) -> None:
        for frame in frames:
            self.send_queue.push_frame(frame)


class Clock:
    """The event loop's clock, set forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        start, self.later = loop.time(), 0.0
        monkeypatch.setattr(loop, "time", lambda: start + self.later)


@pytest.fixture
async def flusher() -> Flusher:
    return Flusher(asyncio.get_running_loop())


@pytest.fixture
async def socket(flusher: Flusher) -> Socket:
    return Socket(flusher)


async def turn() -> None:
    await asyncio.sleep(0)


def listening(flusher: Flusher, frame: bytes, *sockets: Socket) -> Batch:
    return flusher.batch(frame, 1, [socket.send_queue for socket in sockets])


# --- in one turn ---------------------------------------------------------------------------------


async def test_what_one_read_has_for_few_is_written_at_its_end(flusher: Flusher) -> None:
    one, two = Socket(flusher), Socket(flusher)
    flusher.held = True
    one.put(b"a", b"b")
    two.put(b"c")
    assert one.made.writes == []
    flusher.release()
    assert (one.made.writes, two.made.writes) == ([b"ab"], [b"c"])
    await turn()
    assert (one.made.writes, two.made.writes) == ([b"ab"], [b"c"])


async def test_what_one_read_has_for_many_waits_for_the_others(flusher: Flusher) -> None:
    sockets = [Socket(flusher) for _ in range(3)]
    for frame in (b"a", b"b"):
        flusher.held = True
        for socket in sockets:
            socket.put(frame)
        flusher.release()
    assert [socket.made.writes for socket in sockets] == [[], [], []]
    await turn()
    assert [socket.made.writes for socket in sockets] == [[b"ab"]] * 3


async def test_what_one_read_has_comes_after_what_waits(flusher: Flusher) -> None:
    socket = Socket(flusher)
    socket.put(b"a")
    flusher.held = True
    socket.put(b"b")
    flusher.release()
    assert socket.made.writes == []
    await turn()
    assert socket.made.writes == [b"ab"]


async def test_frames_of_a_turn_are_written_once_joined_and_in_order(socket: Socket) -> None:
    event = encoded(b"{}")
    socket.put(b"a", b"b")
    socket.send_queue.push(event)
    assert socket.made.writes == []
    await turn()
    assert socket.made.writes == [b"ab" + event.frame]
    socket.put(b"c")
    await turn()
    assert socket.made.writes[1:] == [b"c"]


async def test_a_batch_stands_between_the_replies_where_it_came(flusher: Flusher) -> None:
    jim, pam = Socket(flusher), Socket(flusher)
    jim.put(b"1")
    batch = listening(flusher, b"a", jim, pam)
    batch.frames.append(b"b")
    jim.put(b"2")
    assert not batch.open  # for jim it can take no more: pam would get that too early, or twice
    batch = listening(flusher, b"c", jim, pam)
    assert batch.open
    other = listening(flusher, b"d", jim)
    assert not batch.open
    other.frames.append(b"e")
    await turn()
    assert (jim.made.writes, pam.made.writes) == ([b"1ab2cde"], [b"abc"])


async def test_a_batch_is_let_go_after_its_turn(flusher: Flusher, socket: Socket) -> None:
    batch = listening(flusher, b"a", socket)
    await turn()
    assert not batch.open
    assert batch.frames == []
    assert batch.joined() == b""
    socket.put(b"b")
    await turn()
    assert socket.made.writes == [b"a", b"b"]


async def test_those_on_a_batch_share_its_bytes(flusher: Flusher) -> None:
    sockets = [Socket(flusher) for _ in range(5)]
    listening(flusher, b"a", *sockets).frames.append(b"b")
    await turn()
    assert {id(socket.made.writes[0]) for socket in sockets} == {id(sockets[0].made.writes[0])}
    assert sockets[0].said == b"ab"


async def test_an_error_of_one_harms_no_other(
    flusher: Flusher, caplog: pytest.LogCaptureFixture
) -> None:
    sockets = [Socket(flusher) for _ in range(3)]
    sockets[1].made.failing = True
    listening(flusher, b"a", *sockets)
    with caplog.at_level(logging.ERROR, "chat.send_queue"):
        await turn()
    assert [socket.said for socket in sockets] == [b"a", b"", b"a"]
    assert [socket.aborted for socket in sockets] == [0, 1, 0]
    assert [socket.send_queue.ended for socket in sockets] == [False, True, False]
    assert len(caplog.records) == 1


async def test_much_is_written_in_portions_of_whole_frames(flusher: Flusher) -> None:
    jim, pam = Socket(flusher), Socket(flusher)
    batch = listening(flusher, BIG, jim, pam)
    batch.frames += [BIG] * 19
    pam.put(b"b" * 1000)
    await turn()
    for one, after in ((jim, b""), (pam, b"b" * 1000)):
        assert one.said == BIG * 20 + after
        assert all(
            PORTION_BYTES < len(data) <= PORTION_BYTES + 10_000 for data in one.made.writes[:-1]
        )
        assert len(one.made.writes) == 3


async def test_a_portion_that_fills_the_transport_is_the_last(
    flusher: Flusher, socket: Socket
) -> None:
    socket.made.blocked = True
    listening(flusher, BIG, socket).frames += [BIG] * 19
    await turn()
    assert socket.said == BIG * 7
    socket.put(b"next")
    await turn()
    assert socket.said == BIG * 7
    socket.made.unblock()
    assert socket.said == BIG * 20 + b"next"


# --- a reader that is slow -----------------------------------------------------------------------


async def test_what_a_full_transport_does_not_take_waits_in_its_order(socket: Socket) -> None:
    socket.send_queue.pause()
    socket.put(b"a", b"b")
    await turn()
    listening(socket.send_queue.flusher, b"c", socket)
    await turn()
    socket.put(b"d")  # of this turn still
    assert socket.made.writes == []
    socket.send_queue.resume()
    assert socket.said == b"abcd"
    socket.put(b"e")
    await turn()
    assert socket.said == b"abcde"


async def test_more_than_the_limit_unsent_is_dropped_and_closed(socket: Socket) -> None:
    socket.made.blocked = True
    socket.put(*[BIG] * 7)
    await turn()
    assert socket.made.full
    for _ in range(MAX_UNSENT_BYTES // len(BIG) - 7):
        socket.put(BIG)
        await turn()
        assert not socket.send_queue.closing
    assert socket.closes == []
    assert socket.send_queue.behind
    socket.put(BIG)
    await turn()
    assert socket.send_queue.closing
    assert socket.send_queue.close_code == CloseCode.TOO_SLOW
    assert socket.closes == [(4410, "")]
    assert socket.said == BIG * 7
    socket.put(b"late")
    socket.made.unblock()
    await turn()
    assert (socket.said, len(socket.closes), socket.aborted) == (BIG * 7, 1, 0)


async def test_much_may_be_unsent_for_a_moment_only(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    socket.made.blocked = True
    burst = [BIG] * (3 * MAX_LASTING_BYTES // len(BIG))
    for _ in range(3):  # each burst has left before the next second is over
        socket.put(*burst)
        await turn()
        assert not socket.send_queue.check_stalled()
        clock.later += MAX_LASTING_SECONDS - 0.01
        while socket.made.unsent:
            socket.made.take()
        assert not socket.send_queue.closing
    socket.put(*burst)
    await turn()
    clock.later += MAX_LASTING_SECONDS - 0.01
    socket.made.take()  # some of it leaves, but not enough
    assert not socket.send_queue.check_stalled()
    clock.later += 0.01
    assert socket.send_queue.check_stalled()
    assert socket.closes == [(4410, "")]


async def test_much_is_unsent_only_of_one_who_reads(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    socket.made.blocked = True
    socket.put(*[BIG] * (MAX_LASTING_BYTES // len(BIG)))
    await turn()
    clock.later += MAX_PAUSE_SECONDS
    assert not socket.send_queue.check_stalled()
    socket.made.take()
    socket.put(*[BIG] * 20)
    await turn()
    clock.later += MAX_PAUSE_SECONDS - 0.01
    assert not socket.send_queue.check_stalled()
    clock.later += 0.01
    socket.put(BIG)
    await turn()
    assert socket.closes == [(4410, "")]


async def test_what_waits_is_the_same_bytes_for_all(flusher: Flusher) -> None:
    sockets = [Socket(flusher) for _ in range(5)]
    for socket in sockets:
        socket.send_queue.pause()
    listening(flusher, BIG * 7, *sockets).frames.append(BIG * 8)
    await turn()
    for socket in sockets:
        socket.send_queue.resume()
    joined = [[id(data) for data in socket.made.writes] for socket in sockets]
    assert joined == [joined[0]] * 5


async def test_it_is_behind_when_much_is_unsent_and_the_transport_full(socket: Socket) -> None:
    socket.made.blocked = True
    socket.put(*[BIG] * 7)
    await turn()
    assert not socket.send_queue.behind
    socket.put(*[BIG] * (BEHIND_BYTES // len(BIG) - 6))
    await turn()
    assert socket.send_queue.behind
    socket.made.unblock()
    assert not socket.send_queue.behind


async def test_there_is_room_once_what_waits_has_left(socket: Socket) -> None:
    """At once while less than half of the limit waits. For all who wait."""
    socket.made.blocked = True
    socket.put(*[BIG] * 30)
    await asyncio.wait_for(socket.send_queue.room(), 5)
    assert socket.made.full
    socket.put(*[BIG] * 30)
    waiting = [asyncio.create_task(socket.send_queue.room()) for _ in range(2)]
    await turn()
    assert not any(task.done() for task in waiting)
    socket.made.unblock()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert socket.said == BIG * 60


@pytest.mark.parametrize("end", ["end", "abandon", "too much"])
async def test_nobody_waits_for_room_in_what_has_ended(socket: Socket, end: str) -> None:
    socket.made.blocked = True
    socket.put(*[BIG] * 60)
    waiting = asyncio.create_task(socket.send_queue.room())
    await turn()
    assert not waiting.done()
    match end:
        case "end":
            socket.send_queue.end()
        case "abandon":
            socket.send_queue.abandon()
        case "too much":
            socket.put(*[BIG] * (MAX_UNSENT_BYTES // len(BIG)))
            await turn()
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(socket.send_queue.room(), 5)


async def test_a_reader_that_stops_is_closed_and_one_that_never_resumes_is_aborted(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    socket.made.blocked = True
    socket.put(b"a")
    await turn()
    assert not socket.send_queue.check_stalled()
    clock.later = MAX_STALL_SECONDS - 0.01
    assert not socket.send_queue.check_stalled()
    clock.later = MAX_STALL_SECONDS
    assert socket.send_queue.check_stalled()
    assert socket.closes == [(4410, "")]
    assert not socket.send_queue.check_stalled()


async def test_one_that_was_closed_and_takes_nothing_is_aborted(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    socket.made.blocked = True
    socket.put(*[BIG] * 10)
    await turn()
    socket.send_queue.close(CloseCode.RESTARTING)
    assert not socket.send_queue.check_stalled()
    clock.later = MAX_STALL_SECONDS
    assert socket.send_queue.check_stalled()
    assert (socket.closes, socket.aborted) == ([], 1)
    assert socket.send_queue.ended
    assert not socket.send_queue.check_stalled()


async def test_a_reader_that_takes_a_byte_now_and_then_is_not_stalled(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what has left, whatever is written meanwhile."""
    clock = Clock(monkeypatch)
    socket.made.blocked = True
    socket.put(b"abcdef")
    await turn()
    assert not socket.send_queue.check_stalled()
    for _ in range(4):
        clock.later += MAX_STALL_SECONDS * 0.9
        socket.put(b"more")
        await turn()
        listening(socket.send_queue.flusher, b"more", socket)
        await turn()
        socket.made.take(1)
        assert not socket.send_queue.check_stalled()
    clock.later += MAX_STALL_SECONDS * 0.9
    socket.put(b"more")
    await turn()
    assert not socket.send_queue.check_stalled()
    clock.later += MAX_STALL_SECONDS * 0.1
    assert socket.send_queue.check_stalled()


async def test_it_knows_when_something_was_last_written(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, flusher = Clock(monkeypatch), socket.send_queue.flusher
    for push in (socket.put, lambda frame: listening(flusher, frame, socket)):
        clock.later += 1
        push(b"a")
        await turn()
        assert socket.send_queue.sent_at == flusher.now()


async def test_an_idle_connection_is_not_stalled(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    socket.put(b"a")
    await turn()
    for later in (3600, 7200):
        clock.later = later
        assert not socket.send_queue.check_stalled()


# --- its end -------------------------------------------------------------------------------------


async def test_closing_within_a_turn_loses_nothing_before_and_sends_nothing_after(
    flusher: Flusher,
) -> None:
    """Though what comes after goes on where the batch was."""
    jim, pam = Socket(flusher), Socket(flusher)
    batch = listening(flusher, b"b", jim, pam)
    batch.frames.append(b"c")
    jim.send_queue.close(CloseCode.GOING_AWAY)
    assert not batch.open
    batch = listening(flusher, b"d", jim, pam)
    jim.put(b"e")
    batch.frames.append(b"f")
    await turn()
    assert (jim.said, jim.closes, jim.said_before_close) == (b"bc", [(1001, "Going away")], b"bc")
    assert (pam.said, pam.closes) == (b"bcdf", [])


async def test_it_is_closed_once_with_the_first_code_when_all_has_left(socket: Socket) -> None:
    socket.send_queue.pause()
    socket.put(b"a")
    socket.send_queue.close(CloseCode.TOO_FAST)
    socket.send_queue.close(CloseCode.RESTARTING)
    socket.put(b"b")
    await turn()
    assert socket.closes == []
    socket.send_queue.resume()
    socket.send_queue.close(CloseCode.RESTARTING)
    assert (socket.closes, socket.said_before_close, socket.said) == ([(4429, "")], b"a", b"a")
    assert socket.send_queue.close_code == CloseCode.TOO_FAST


@pytest.mark.parametrize("how", ["end", "abandon"])
@pytest.mark.parametrize("paused", [False, True])
async def test_what_has_ended_sends_nothing_more(flusher: Flusher, how: str, paused: bool) -> None:
    jim, pam = Socket(flusher), Socket(flusher)
    jim.put(b"a")
    if paused:
        jim.send_queue.pause()
        await turn()
    batch = listening(flusher, b"b", jim, pam)
    jim.send_queue.end() if how == "end" else jim.send_queue.abandon()
    if batch.open:
        batch.frames.append(b"c")
    jim.put(b"d")
    await turn()
    jim.send_queue.resume()
    jim.send_queue.close(CloseCode.RESTARTING)
    await turn()
    assert (jim.said, jim.closes, jim.aborted) == (b"", [], how == "abandon")
    assert jim.send_queue.closing
    assert jim.send_queue.ended
    assert pam.said in (b"b", b"bc")


STEPS = ["put", "read", "batch", "add", "flush", "turn", "block", "take", "free", "room", "close"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), max_size=40))
def test_frames_leave_once_in_order_and_close_ends_them(steps: list[tuple[str, int]]) -> None:
    """Of three that share batches, with what each is put of its own, some of them slow."""

    async def scenario() -> None:
        flusher = Flusher(asyncio.get_running_loop())
        sockets = [Socket(flusher) for _ in range(3)]
        expected, closed, tasks = [b"", b"", b""], [False] * 3, list[Any]()
        batch: Batch | None = None
        for number, (step, at) in enumerate(steps):
            socket, frame = sockets[at], b"%d;" % number * 5000
            if step == "put":
                socket.put(frame)
                expected[at] += b"" if closed[at] else frame
            elif step == "read":
                flusher.held = True
                for each in range(at, 3):
                    sockets[each].put(frame)
                    expected[each] += b"" if closed[each] else frame
                flusher.release()
            elif step in ("batch", "add"):
                if step == "add" and batch is not None and batch.open:
                    batch.frames.append(frame)
                else:
                    batch = listening(flusher, frame, *sockets)
                for each in range(3):
                    expected[each] += b"" if closed[each] else frame
            elif step == "flush":
                socket.send_queue.flush(flusher.now())
                assert socket.made.full or socket.said == expected[at]
            elif step == "turn":
                await turn()
            elif step == "block":
                socket.made.blocked = True
            elif step == "take":
                socket.made.take(socket.made.unsent // 2)
            elif step == "free":
                socket.made.unblock()
            elif step == "room":
                tasks.append(asyncio.create_task(socket.send_queue.room()))
            else:
                socket.send_queue.close(CloseCode.RESTARTING)
                closed[at] = True
            for each, one in enumerate(sockets):
                assert expected[each].startswith(one.said)
        await turn()
        for each, one in enumerate(sockets):
            one.made.unblock()
            assert one.said == expected[each]
            assert one.closes == ([(1012, "")] if closed[each] else [])
            assert one.said_before_close in (None, expected[each])
        await asyncio.wait_for(asyncio.gather(*tasks), 5)

    asyncio.run(scenario())

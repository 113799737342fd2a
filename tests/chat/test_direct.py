"""What of the short way needs time to pass: pings. The rest is tested on the wire."""

from typing import Any, cast

from chat.direct import PING_FRAME, DirectWebSocket
from chat.segments import MASKED, PONG


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Receiver:
    def receive(self, sent: Any) -> None: ...
    def end(self) -> None: ...


class Open(DirectWebSocket):
    """An open one, and whether it was given up."""

    def __init__(self) -> None:
        self.given_up = False
        self.made = Transport()
        self.transport = cast("Any", self.made)
        self.close_sent = False
        self._unanswered = self._held_back = self._fragmented = False
        self._partial = None
        self._short = self.receiver = Receiver()
        self.outbox = None

    def keepalive_timeout(self) -> None:
        self.given_up = True


def test_a_client_that_answers_is_asked_again() -> None:
    socket = Open()
    for _ in range(3):
        assert socket.ping()
        socket.data_received(bytes((PONG, MASKED, 1, 2, 3, 4)))
    assert socket.made.written == [PING_FRAME] * 3
    assert not socket.given_up


def test_one_that_does_not_is_given_up_at_the_next() -> None:
    socket = Open()
    assert socket.ping()
    assert not socket.ping()
    assert socket.given_up
    assert socket.made.written == [PING_FRAME]


def test_nobody_is_blamed_for_what_is_not_read() -> None:
    socket = Open()
    assert socket.ping()
    socket.pause_frames()
    assert socket.ping()
    socket.resume_frames()
    socket.data_received(bytes((PONG, MASKED, 1, 2, 3, 4)))
    assert socket.ping()
    assert not socket.given_up

"""Reads connections as they become ready, until what is waited for has come."""

import select
import time
from collections.abc import Callable, Sequence
from typing import Final

from .connection import Connection, Refused

TURN_SECONDS: Final = 0.1


class Poll:
    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = {each.fileno: each for each in connections}
        self._poll = select.epoll()
        for fileno in self._connections:
            self._poll.register(fileno, select.EPOLLIN)

    def turn(self) -> list[Connection]:
        """Those that have been read."""
        ready = [self._connections[fileno] for fileno, _ in self._poll.poll(TURN_SECONDS)]
        for connection in ready:
            connection.read()
        return ready

    def until_each[C: Connection](
        self, connections: Sequence[C], has: Callable[[C], bool], seconds: float
    ) -> None:
        """Returns when `has` is true of each; Refused after the time."""
        deadline = time.monotonic() + seconds
        left = {each.fileno: each for each in connections if not has(each)}
        while left:
            if time.monotonic() > deadline:
                raise Refused(f"{len(left)} of {len(connections)} still wait after {seconds} s")
            for fileno in [each.fileno for each in self.turn()]:
                if fileno in left and has(left[fileno]):
                    del left[fileno]

    def close(self) -> None:
        self._poll.close()

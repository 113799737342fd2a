"""When connections are due for something: idle ones, keepAlive, missed heartbeats (protocol.md
section 6).

One heap for all of a process, and nothing is done for a connection before its moment: what it
sends and gets meanwhile only leaves a time behind, which is read when the moment comes. Here are
only the ids of connections: the heap does not keep in memory who has gone.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from chat.protocol import events
from chat.protocol.errors import CloseCode
from chat.runtime.connection import LiveConnection

PING_SECONDS: Final = 10
"""A client that does not answer a WebSocket ping until the next one is gone."""
SLACK: Final = 1000
BUSY_SECONDS: Final = 1.0
KEEP_ALIVE_SHARE: Final = 0.95  # of the idle time at most, so that none idles out

# What is due for a connection now; gives when to look again, None: never.
Check = Callable[[LiveConnection, float], float | None]


class Liveness:
    """All times are of the event loop's clock, in seconds; periods too. `connections` are those
    that are open, by id."""

    def __init__(
        self, idle: float, keep_alive: float, connections: Mapping[str, LiveConnection]
    ) -> None:
        self._connections = connections
        self._idle = idle
        self._keep_alive = min(keep_alive, idle * KEEP_ALIVE_SHARE)
        self._heap: list[tuple[float, int, str, Check]] = []
        self._order = itertools.count()
        # Bound once: each entry of the heap would hold one of its own.
        self._when_idle: Check = self._check_idle
        self._to_keep_alive: Check = self._send_keep_alive
        self._gone = 0
        self._pings: deque[tuple[float, str]] = deque()  # all have the same period

    def watch(self, connection: LiveConnection) -> None:
        """From `heard_at` on, for as long as it lasts."""
        id, claims, since = connection.id, connection.session.claims, connection.heard_at
        self._push(since + self._idle, id, self._when_idle)
        self._pings.append((since + PING_SECONDS, id))
        if claims.keep_alive:
            self._push(since + self._keep_alive, id, self._to_keep_alive)
        if claims.heartbeat_timeout is not None:
            self._push(since + claims.heartbeat_timeout, id, _check_heartbeat)

    def forget(self, connection: LiveConnection) -> None:
        """It is open no more; what was due is dropped, at the latest when that is half of all."""
        claims = connection.session.claims
        self._gone += 1 + claims.keep_alive + (claims.heartbeat_timeout is not None)
        if self._gone * 2 > len(self._heap) + SLACK:
            self._heap = [entry for entry in self._heap if entry[2] in self._connections]
            heapq.heapify(self._heap)
            self._gone = 0

    def run(self, now: float) -> None:
        """Does what is due by `now`."""
        while self._heap and self._heap[0][0] <= now:
            _, _, id, check = heapq.heappop(self._heap)
            connection = self._connections.get(id)
            if connection is None:
                self._gone -= 1
            elif (again := check(connection, now)) is not None:
                self._push(again, id, check)

        while self._pings and self._pings[0][0] <= now:
            _, id = self._pings.popleft()
            connection = self._connections.get(id)
            if connection is not None and connection.send_queue.ping():
                self._pings.append((now + PING_SECONDS, id))

    def _push(self, due: float, id: str, check: Check) -> None:
        heapq.heappush(self._heap, (due, next(self._order), id, check))

    def _check_idle(self, connection: LiveConnection, now: float) -> float | None:
        due = max(connection.heard_at, connection.send_queue.sent_at) + self._idle
        return _end(connection, due, now, CloseCode.GOING_AWAY)

    def _send_keep_alive(self, connection: LiveConnection, now: float) -> float:
        connection.send_queue.push(events.KEEP_ALIVE)
        return now + self._keep_alive


def _check_heartbeat(connection: LiveConnection, now: float) -> float | None:
    due = connection.beat_at + (connection.session.claims.heartbeat_timeout or 0)
    return _end(connection, due, now, CloseCode.HEARTBEAT_MISSED)


def _end(connection: LiveConnection, due: float, now: float, code: int) -> float | None:
    """Closes it where it is due. While one of its frames waits for the database, those behind it
    have not been heard yet."""
    if due > now:
        return due
    if connection.handling:
        return now + BUSY_SECONDS
    connection.send_queue.close(code)
    return None

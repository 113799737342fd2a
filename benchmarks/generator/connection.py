"""One client connection of the load generator: counts deliveries, answers pings, sends what is
ready."""

import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from .frames import CLOSE, PING, PONG, TEXT, Delivery, masked, whole

BUFFER: Final = bytearray(1 << 20)
VIEW: Final = memoryview(BUFFER)
LIMIT_SECONDS: Final = 30
AT_ONCE: Final = 50
NONE: Final = Delivery(1, b"\0\0\0\0")  # nothing begins like this: each frame is looked at
ERROR: Final = b'{"event":"hotsock.error"'
NEVER: Final = 1 << 62


class Refused(Exception):
    """The server ended a connection, or never answered."""


class Connection:
    """`texts` counts deliveries, once `delivery` says what they look like."""

    __slots__ = ("delivery", "due", "fileno", "generation", "room", "socket", "texts", "unread")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = self.socket.fileno()
        self.unread = b""
        self.texts = 0
        self.due = NEVER
        self.generation = 0
        self.room: object = None
        self.delivery = NONE

    def read(self) -> None:
        """Takes what has come; the socket is ready."""
        held = len(self.unread)
        if held:
            BUFFER[:held] = self.unread
            filled = held + self.socket.recv_into(VIEW[held:])
        else:
            filled = self.socket.recv_into(BUFFER)
        if filled == held:
            raise Refused("the server closed a connection")
        found = self.delivery.count(BUFFER, filled)
        if found <= 0:
            self._read_apart(filled)
            return
        self.texts += found
        end = found * self.delivery.size
        self.unread = bytes(VIEW[end:filled]) if end < filled else b""

    def _read_apart(self, filled: int) -> None:
        """Frame by frame: there are others than deliveries."""
        unread, end = bytes(VIEW[:filled]), 0
        for kind, start, end in whole(unread):
            self._take(kind, unread[start:end])
        self.unread = unread[end:]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == TEXT:
            if payload.startswith(ERROR):
                raise Refused(payload.decode())
            if payload[:1] == b"2" and len(payload) == 1:  # Engine.IO's own ping
                self.socket.sendall(masked(TEXT, b"3"))
            else:
                self.texts += 1
        elif kind == PING:
            self.socket.sendall(masked(PONG, payload))
        elif kind == CLOSE:
            code, reason = int.from_bytes(payload[:2]), payload[2:].decode()
            raise Refused(f"the server closed a connection: {code} {reason}")

    # --- before the measuring: one frame at a time --------------------------------------------

    def upgrade(self, target: str) -> None:
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def upgraded(self) -> None:
        """Returns when the server has accepted the connection."""
        while (end := self.unread.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self.unread = self.unread[:end], self.unread[end + 4 :]
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise Refused(head.decode(errors="replace")[:200])

    def send(self, payload: bytes) -> None:
        self.socket.sendall(masked(TEXT, payload))

    def next_text(self, wanted: bytes = b"") -> bytes:
        """The next text with `wanted` in it; those before it are gone. Refused where it is an error
        instead, or does not come within 30 s."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            for kind, start, end in whole(self.unread):
                payload = self.unread[start:end]
                if kind == TEXT and wanted in payload:
                    self.unread = self.unread[end:]
                    return payload
                if kind == TEXT and payload.startswith(ERROR):
                    raise Refused(payload.decode())
                if kind != TEXT:
                    self._take(kind, payload)
                    self.unread = self.unread[end:]
                    break
            else:
                self._more()
        raise Refused(f"{wanted.decode()} never came")

    def skip_all(self, seconds: float) -> None:
        """Drops what comes within the time."""
        deadline = time.monotonic() + seconds
        self.unread = b""
        self.socket.settimeout(seconds)
        try:
            while time.monotonic() < deadline and self.socket.recv(65536):
                pass
        except TimeoutError:
            pass
        self.socket.settimeout(LIMIT_SECONDS)

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise Refused("the server closed a connection")
        self.unread += piece

    def close(self) -> None:
        self.socket.close()


Settle = Callable[[Sequence[Connection]], None]
"""What comes after the accept."""


def open_many(port: int, targets: Sequence[str], settle: Settle) -> list[Connection]:
    """A connection for each target, 50 at once."""
    return open_as(Connection, port, targets, settle)


def open_as[C: Connection](
    kind: Callable[[int], C], port: int, targets: Sequence[str], settle: Settle
) -> list[C]:
    opened: list[C] = []
    crowd = Crowd()
    try:
        for start in range(0, len(targets), AT_ONCE):
            batch = []
            for target in targets[start : start + AT_ONCE]:
                batch.append(kind(port))
                opened.append(batch[-1])
                batch[-1].upgrade(target)
            for connection in batch:
                connection.upgraded()
            settle(batch)
            crowd.add(batch)
            crowd.answer(0)
    except BaseException:
        close_all(opened)
        raise
    finally:
        crowd.close()
    return opened


class Crowd:
    """Connections that are looked after while something else is done: pings are answered."""

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}
        self._poll = select.epoll()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connections: Sequence[Connection]) -> None:
        for connection in connections:
            self._connections[connection.fileno] = connection
            self._poll.register(connection.fileno, select.EPOLLIN)

    def answer(self, seconds: float) -> None:
        """Reads those that are ready; waits so long where none is."""
        for fileno, _ in self._poll.poll(seconds):
            self._connections[fileno].read()

    def close(self) -> None:
        self._poll.close()


def close_all(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.close()

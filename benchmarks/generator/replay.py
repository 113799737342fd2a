"""`python -m benchmarks.generator.replay PORT`: as little of a server as the generator can be held
against, to see what it could take of one that costs nothing.

The first frame of a connection is read; all later ones are taken for the same, and only counted by
their bytes. What one read brings is sent on to each other member of the room in one write. A path
is /ROOM, or /publish/ROOM for who only speaks.
"""

import select
import socket
import sys
from typing import Final

ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
BUFFER: Final = bytearray(1 << 20)


class Client:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.others: list[Client] | None = None
        self.sent = b""  # what is delivered for each frame
        self.size = 0  # of a frame of this client's
        self.rest = 0  # bytes of one that has not come to its end

    def read(self, rooms: "dict[bytes, list[Client]]") -> bool:
        """Whether it is still there."""
        filled = self.socket.recv_into(BUFFER)
        if self.others is None:
            return bool(filled) and self._accept(bytes(BUFFER[:filled]), rooms)
        if not filled:
            return False
        if not self.size:
            self.sent, self.size = _first(bytes(BUFFER[:filled]))
        frames, self.rest = divmod(self.rest + filled, self.size)
        joined = self.sent * frames
        for other in self.others:
            if other is not self:
                other.socket.sendall(joined)
        return True

    def _accept(self, head: bytes, rooms: "dict[bytes, list[Client]]") -> bool:
        path = head.split(b" ", 2)[1]
        name = path.removeprefix(b"/publish")
        self.others = rooms.setdefault(name, [])
        if name == path:
            self.others.append(self)
        self.socket.sendall(ACCEPTED)
        return True


def _first(frame: bytes) -> tuple[bytes, int]:
    """The server's frame that says the same, and the size of the client's."""
    size, start = frame[1] & 127, 2
    if size == 126:
        size, start = int.from_bytes(frame[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(frame[2:10]), 10
    key, masked = frame[start : start + 4], frame[start + 4 : start + 4 + size]
    text = bytes(byte ^ key[at % 4] for at, byte in enumerate(masked))
    return frame[:1] + bytes([frame[1] & 127]) + frame[2:start] + text, start + 4 + size


def main(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    rooms: dict[bytes, list[Client]] = {}
    clients: dict[int, Client] = {}
    poll = select.epoll()
    poll.register(listening.fileno(), select.EPOLLIN)
    while True:
        for fileno, _ in poll.poll():
            if fileno == listening.fileno():
                connection, _ = listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[connection.fileno()] = Client(connection)
                poll.register(connection.fileno(), select.EPOLLIN)
                continue
            client = clients[fileno]
            try:
                there = client.read(rooms)
            except OSError:
                there = False
            if not there:
                poll.unregister(fileno)
                del clients[fileno]
                if client.others is not None and client in client.others:
                    client.others.remove(client)
                client.socket.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))

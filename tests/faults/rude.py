"""Clients without manners: they stop reading, or go without a goodbye."""

import socket
import struct

from tests.faults.recording import Connection

RECEIVE_BUFFER = 4096
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and resets


class Rude(Connection):
    @property
    def address(self) -> tuple[str, int]:
        """Its own, as the server sees it."""
        host, port = self._transport.get_extra_info("sockname")
        return host, port

    def stop_reading(self) -> None:
        """The socket stays open, with little room for what still comes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._transport.pause_reading()

    def reset(self) -> None:
        """RST instead of any goodbye, at whatever point it is."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._transport.abort()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

"""Clients without manners: they stop reading, or go without a goodbye."""

from __future__ import annotations

import asyncio
import socket
import struct

from tests.faults.crowd import request
from tests.faults.recording import PATIENCE_SECONDS, Connection, Refused
from tests.support.servers import Server

RECEIVE_BUFFER = 4096
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what is unsent, and resets


class Rude(Connection):
    @classmethod
    async def begin(cls, server: Server, uid: str, jwt: str) -> Rude:
        """Its request is sent; what follows is up to the test."""
        loop = asyncio.get_running_loop()
        _, self = await loop.create_connection(lambda: cls(server, uid), "127.0.0.1", server.port)
        self._accepted.add_done_callback(asyncio.Future.exception)  # nobody else may ask
        self._transport.write(request(jwt))
        return self

    async def inside(self, subscriptions: int) -> None:
        """Returns when it has so many; raises Refused where it ends before."""
        changed = asyncio.Event()
        self.on_frame = lambda frame: changed.set()
        ended = asyncio.create_task(self.ended.wait())
        ended.add_done_callback(lambda _: changed.set())
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while self._subscriptions < subscriptions:
                if self.code is not None:
                    await self._accepted
                    raise Refused(self.code)
                await changed.wait()
                changed.clear()
        ended.cancel()

    @property
    def _subscriptions(self) -> int:
        return sum(frame.event == "hotsock.subscribed" for frame in self.frames)

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
        if self._transport.is_closing():
            return
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._transport.abort()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

"""Subscribers that stop reading: closed, while nobody waits and no memory is lost (P6).

Of `manage.py serve` alone: daphne knows no back-pressure (design.md section 5).
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from tests.hostile.conftest import memory
from tests.support.calls import compact, http_client
from tests.support.client import Client, eventually
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.raw import frame, upgrade
from tests.support.servers import Server, token

KIB = 1024
READERS = 50
DATA = "x" * 30 * KIB
AT_ONCE = 20
FLOOD = 1400  # messages: 41 MiB, for each subscriber
# A stuck reader may keep 1 MiB, and what one `send` and the transport hold (design.md section 4).
MAX_GROWTH = 16 * 1024 * KIB
MESSAGES = {"flood": {"publish": True}, "chat": {"publish": True, "echo": True}}


class StuckReader:
    """A subscriber on a bare socket, with small buffers, that reads only when told to."""

    def __init__(self, server: Server, channel: str) -> None:
        self.server = server
        self.channel = channel
        self.received = b""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
        self._socket.setblocking(False)

    async def subscribe(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self.server.port))
        jwt = token(self.server, uid=f"stuck-{self.channel}", channels=room(self.channel, MESSAGES))
        await loop.sock_sendall(self._socket, upgrade(jwt))
        await self._until(b"hotsock.connected")
        subscribe = frame({"event": "hotsock.subscribe", "channel": self.channel})
        await loop.sock_sendall(self._socket, subscribe)
        await self._until(b"hotsock.subscribed")

    async def _until(self, event: bytes) -> None:
        while event not in self.received:
            part = await asyncio.get_running_loop().sock_recv(self._socket, 4 * KIB)
            assert part, self.received
            self.received += part

    @property
    def credentials(self) -> str:
        """As the query of an HTTP call."""
        names = ("connectionId", "connectionSecret")
        return urlencode({name: self._value(name) for name in names})

    def _value(self, name: str) -> str:
        _, _, rest = self.received.partition(f'"{name}":"'.encode())
        return rest.partition(b'"')[0].decode()

    async def read_to_the_end(self) -> bytes:
        """All that still comes, the last few KiB of it."""
        loop, tail = asyncio.get_running_loop(), b""
        async with asyncio.timeout(20):
            try:
                while part := await loop.sock_recv(self._socket, 64 * KIB):
                    tail = (tail + part)[-8 * KIB :]
            except ConnectionError:
                return b""
        return tail

    async def ask_for_ever(self) -> None:
        """Sends what each is answered by an error of some hundred bytes."""
        question = frame({"event": "nothing", "channel": "c" * 200}) * 100
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                await loop.sock_sendall(self._socket, question)

    async def is_closed(self) -> bool:
        """Whether its credentials have stopped working."""
        async with http_client(self.server) as http:
            path = f"/connection/listMessages?{self.credentials}"
            answered = await http.post(path, json={"channel": self.channel})
        return answered.status_code == 401

    def leave(self) -> None:
        self._socket.close()


@pytest.fixture
async def crowd(attacked_uvicorn: Server, channel: str) -> AsyncIterator[tuple[Client, Client]]:
    """One who publishes, and one who reads as it should."""
    grants = room(channel, MESSAGES)
    async with (
        subscribed(attacked_uvicorn, channel, uid=f"jim-{channel}", channels=grants) as jim,
        subscribed(attacked_uvicorn, channel, uid=f"pam-{channel}", channels=grants) as pam,
    ):
        yield jim, pam


async def flood(jim: Client, pam: Client, channel: str, count: int) -> None:
    """Publishes, never more at once than the other may leave unread for a while."""
    message = compact({"event": "flood", "channel": channel, "data": DATA})
    for at in range(0, count, AT_ONCE):
        some = min(AT_ONCE, count - at)
        await jim.send(*[message] * some)
        for _ in range(some):
            assert (await asyncio.wait_for(pam.socket.recv(), 10)).startswith('{"id":"')


async def test_memory_stays_bounded_and_the_others_get_all(
    attacked_uvicorn: Server, channel: str, crowd: tuple[Client, Client]
) -> None:
    jim, pam = crowd
    await flood(jim, pam, channel, 50)
    stuck = [StuckReader(attacked_uvicorn, channel) for _ in range(READERS)]
    for reader in stuck:
        await reader.subscribe()
    before = memory(attacked_uvicorn)
    await flood(jim, pam, channel, FLOOD)
    assert memory(attacked_uvicorn) - before < MAX_GROWTH
    await pam.publish(channel, "and now", "chat")
    assert (await pam.receive("chat"))["data"] == "and now"
    await jim.receive("chat")
    await asyncio.gather(*(gone(reader) for reader in stuck))


async def gone(reader: StuckReader) -> None:
    """Never read from again, it is ended all the same: closed, then cut."""
    assert await eventually(reader.is_closed)
    reader.leave()


async def test_a_reader_that_resumes_learns_why_it_was_closed(
    attacked_uvicorn: Server, channel: str, crowd: tuple[Client, Client]
) -> None:
    jim, pam = crowd
    reader = StuckReader(attacked_uvicorn, channel)
    await reader.subscribe()
    await flood(jim, pam, channel, 400)
    tail = await reader.read_to_the_end()
    assert tail[-4:] == b"\x88\x02" + (4410).to_bytes(2, "big")
    assert await eventually(reader.is_closed)
    reader.leave()


async def test_one_who_asks_and_reads_no_answer_is_ended(
    attacked_uvicorn: Server, channel: str
) -> None:
    reader = StuckReader(attacked_uvicorn, channel)
    await reader.subscribe()
    before = memory(attacked_uvicorn)
    asking = asyncio.create_task(reader.ask_for_ever())
    assert await eventually(reader.is_closed)
    assert memory(attacked_uvicorn) - before < MAX_GROWTH
    asking.cancel()
    await asyncio.wait([asking])
    reader.leave()

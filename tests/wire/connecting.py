"""Opening connections, and what there is when they are refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.servers import Server, token
from tests.wire.client import Client


class Refused(Exception):
    """The handshake was refused."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@asynccontextmanager
async def connect(
    server: Server, *, jwt: str | None = None, **claims: Any
) -> AsyncIterator[Client]:
    """A connection opened with `jwt` or, without it, with a token of these claims.

    Raises Refused where the handshake is refused.
    """
    client = await open_client(server, token(server, **claims) if jwt is None else jwt)
    try:
        yield client
    finally:
        await client.aclose()


async def open_client(server: Server, jwt: str, **options: Any) -> Client:
    """As `connect`, for those who close it themselves; `options` go to the library."""
    client = Client(
        server, await handshake(f"{server.ws_url}?{urlencode({'token': jwt})}", **options)
    )
    client.connected = await client.receive("hotsock.connected")
    return client


async def handshake(url: str, **options: Any) -> ClientConnection:
    """The socket as soon as it is accepted; raises Refused."""
    settings = {"compression": None, "ping_interval": None, "max_size": None, "max_queue": None}
    try:
        return await websockets.connect(url, proxy=None, **settings | options)
    except InvalidStatus as refused:
        raise Refused(refused.response.status_code, bytes(refused.response.body)) from None

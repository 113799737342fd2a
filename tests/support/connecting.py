"""Opening connections, and what there is when they are refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.support.client import Client
from tests.support.grants import room
from tests.support.servers import Server, token


class Refused(Exception):
    """The handshake was refused."""

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        super().__init__(status, content_type, body)
        self.status = status
        self.content_type = content_type
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


@asynccontextmanager
async def subscribed(
    server: Server,
    channel: str,
    messages: dict[str, dict[str, Any]] | None = None,
    *,
    channels: dict[str, Any] | None = None,
    **claims: Any,
) -> AsyncIterator[Client]:
    """A connection that has subscribed, by default with a token for `room(channel, messages)`."""
    granted = room(channel, messages) if channels is None else channels
    async with connect(server, channels=granted, **claims) as client:
        await client.subscribe(channel)
        yield client


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
        response = refused.response
        content_type = response.headers.get("content-type", "")
        raise Refused(response.status_code, content_type, bytes(response.body)) from None

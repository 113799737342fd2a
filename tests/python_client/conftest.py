"""Both faces of the Python client, called alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from typing import Any

import pytest

from chatsite_client import AsyncClient, Client, backoff
from tests.support.servers import Server

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits longer than it must."""
    monkeypatch.setattr(backoff, "FIRST_CEILING", 0.0)


def asking(client: Client | AsyncClient) -> Ask:
    """Calls a method of a client by its name."""

    async def ask(name: str, *arguments: Any, **options: Any) -> Any:
        method = getattr(client, name)
        if isinstance(client, Client):
            return await asyncio.to_thread(method, *arguments, **options)
        return await method(*arguments, **options)

    return ask


@pytest.fixture(params=[Client, AsyncClient])
def face(request: pytest.FixtureRequest) -> type[Client] | type[AsyncClient]:
    kind: type[Client] | type[AsyncClient] = request.param
    return kind


@pytest.fixture
async def ask(face: type[Client] | type[AsyncClient], server: Server) -> AsyncIterator[Ask]:
    client = face(server.url, server.env["API_SECRET_KEY_1"])
    yield asking(client)
    closed = client.close()
    if isawaitable(closed):
        await closed

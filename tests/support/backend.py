"""The application's own backend: it calls the server HTTP API with a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from tests.support.calls import Answer, answer, compact, http_client
from tests.support.servers import Server


class Backend:
    """Calls with the server's first API key, unless `headers` say otherwise."""

    def __init__(self, server: Server, http: httpx.AsyncClient) -> None:
        self._http = http
        self.headers = {"Authorization": f"Bearer {server.env['API_SECRET_KEY_1']}"}

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | str | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """`path` is sent as it is."""
        content = compact(body) if isinstance(body, dict) else body
        headers = self.headers if headers is None else headers
        return answer(await self._http.request(method, path, content=content, headers=headers))

    async def publish(self, channel: str, event: str = "chat", **fields: Any) -> Answer:
        return await self.call("POST", "/publish", {"channel": channel, "event": event, **fields})

    async def published(self, channel: str, event: str = "chat", **fields: Any) -> Any:
        """The answer's JSON, where it was accepted."""
        answered = await self.publish(channel, event, **fields)
        assert answered.status == 202, answered.text
        return answered.json

    async def channel(self, name: str, rest: str = "") -> Answer:
        """Asks about a channel."""
        return await self.call("GET", f"/channels/{encoded(name)}{rest}")

    async def delete(self, channel: str, message: str) -> Answer:
        path = f"/channels/{encoded(channel)}/messages/{encoded(message)}"
        return await self.call("DELETE", path)

    async def deleted(self, channel: str, message: str) -> None:
        """It was there, and is gone."""
        answered = await self.delete(channel, message)
        assert (answered.status, answered.text) == (204, ""), answered.text


def encoded(name: str) -> str:
    """Its dots, too: else `.` and `..` are steps of the path."""
    return quote(name, safe="").replace(".", "%2E")


@asynccontextmanager
async def backend(server: Server) -> AsyncIterator[Backend]:
    async with http_client(server) as http:
        yield Backend(server, http)

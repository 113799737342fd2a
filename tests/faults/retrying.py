"""A backend that publishes over HTTP and tries again until it has its answer, each time the same
message: with its `deduplicationId` it is stored once however often it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from tests.faults.recording import PATIENCE_SECONDS
from tests.support.calls import NO_TLS
from tests.support.servers import Server

PAUSE_SECONDS = 0.05
AGAIN = (502, 503, 504)


class RetryingPublisher:
    """`acknowledged`: message ids, in the order of the answers; `retries`: answers that never came,
    or that said to try again."""

    def __init__(self, server: Callable[[], Server], uid: str, channel: str) -> None:
        self._server = server
        self.uid = uid
        self.channel = channel
        self.sent = 0
        self.retries = 0
        self.acknowledged: list[str] = []
        self._ending = False

    @asynccontextmanager
    async def publishing(self, pause: float) -> AsyncIterator[RetryingPublisher]:
        """All that was sent is acknowledged at its end."""
        task = asyncio.create_task(self._run(pause))
        try:
            yield self
        finally:
            self._ending = True
            await task

    async def _run(self, pause: float) -> None:
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=10) as http:
            while not self._ending:
                await self._publish(http)
                await asyncio.sleep(pause)

    async def _publish(self, http: httpx.AsyncClient) -> None:
        body = {
            **{"channel": self.channel, "event": "chat", "store": -1},
            **{"data": [self.uid, self.sent], "eagerIdGeneration": True},
            "deduplicationId": f"{self.uid}-{self.sent}",
        }
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (id := await self._try(http, body)) is None:
                self.retries += 1
                await asyncio.sleep(PAUSE_SECONDS)
        self.sent += 1
        self.acknowledged.append(id)

    async def _try(self, http: httpx.AsyncClient, body: dict[str, object]) -> str | None:
        server = self._server()
        headers = {"Authorization": f"Bearer {server.env['API_SECRET_KEY_1']}"}
        try:
            answer = await http.post(f"{server.url}/publish", json=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code in AGAIN:
            return None
        assert answer.status_code == 202, answer.text
        id: str = answer.json()["id"]
        return id

"""An application's backend that takes webhooks: verifies, holds against docs/asyncapi.yaml, records
and, where told to, fails."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from tests.support.calls import LIMIT_SECONDS
from tests.support.described import check_report


@dataclass(frozen=True)
class Delivery:
    """A request to the webhook, its signature verified; `text` is its body as it came."""

    id: str
    text: str
    body: dict[str, Any]
    headers: dict[str, str]
    answered: int

    @property
    def channel(self) -> str | None:
        return self.body["metadata"].get("channel")

    @property
    def type(self) -> str:
        type: str = self.body["type"]
        return type.removeprefix("hotsock.")


Choice = Callable[[Delivery], bool]


class Receiver:
    """Listens on a port of its own; `status` says what a request is answered with.

    `described`: what is sent must be as docs/asyncapi.yaml says.
    """

    def __init__(self, *, described: bool = True) -> None:
        self._described = described
        self.secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        self.status: Callable[[Delivery], int] = lambda delivery: 200
        self.deliveries: list[Delivery] = []
        self.problems: list[str] = []
        self._news = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def environment(self) -> dict[str, str]:
        """What a server that is to send here needs."""
        url = f"http://127.0.0.1:{self._server.server_port}/hook?of=test"
        return {"WEBHOOK_URL": url, "WEBHOOK_SECRET": self.secret}

    def take(self, text: str, headers: dict[str, str]) -> int:
        Webhook(self.secret).verify(text, headers)
        delivery = Delivery(headers["webhook-id"], text, json.loads(text), headers, 0)
        if self._described:
            check_report(delivery.body, headers)
        status = self.status(delivery)
        delivery = Delivery(delivery.id, text, delivery.body, headers, status)
        with self._news:
            self.deliveries.append(delivery)
            self._news.notify_all()
        return status

    async def wait(self, count: int, of: Choice) -> list[Delivery]:
        """The first `count` deliveries of that kind, failed ones too; the wait is for the next."""
        return await asyncio.to_thread(self._wait, count, of)

    def _wait(self, count: int, of: Choice) -> list[Delivery]:
        with self._news:
            while len(found := self._found(of)) < count and self._news.wait(LIMIT_SECONDS):
                pass  # as long as something comes, however slowly
        assert not self.problems
        last = [each.text for each in found[-20:]]
        assert len(found) >= count, f"{len(found)} of {count}, the last: {last}"
        return found[:count]

    def _found(self, of: Choice) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if of(delivery)]

    async def one(self, type: str, channel: str) -> Delivery:
        """The first of a type on a channel."""
        [delivery] = await self.several(1, type, channel)
        return delivery

    async def several(self, count: int, type: str, channel: str) -> list[Delivery]:
        return await self.wait(count, lambda found: (found.type, found.channel) == (type, channel))

    async def on(self, channel: str, count: int) -> list[Delivery]:
        """The first `count` on a channel, of whatever type."""
        return await self.wait(count, lambda delivery: delivery.channel == channel)

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Its client was killed."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            content = self.rfile.read(length)
            if len(content) < length:  # its server was stopped in the middle of it
                self.close_connection = True
                return
            body = content.decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status = receiver.take(body, headers)
            except Exception as problem:
                receiver.problems.append(f"{problem!r}: {body}")
                status = 400
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
